// Generates the codecs from proto/ and compiles src, test and bench into dist.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
const run = (command, args) => execFileSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });

const protoFolder = join(root, "proto");
const protos = readdirSync(protoFolder)
  .filter((name) => name.endsWith(".proto"))
  .map((name) => join("proto", name));
const generated = join(root, "proto", "gen", "mesh.js");
const newestProto = Math.max(...protos.map((path) => statSync(join(root, path)).mtimeMs));

if (!existsSync(generated) || statSync(generated).mtimeMs < newestProto) {
  mkdirSync(join(root, "proto", "gen"), { recursive: true });
  const shape = ["--no-create", "--no-verify", "--no-delimited", "--no-service", "--force-long"];
  run(bin("pbjs"), ["-t", "static-module", "-w", "es6", "--es6", ...shape, "-p", "proto", "-o", generated, ...protos]);
  // Node resolves ES module paths literally; the generator leaves the ending out.
  writeFileSync(generated, readFileSync(generated, "utf8").replace(/"protobufjs\/minimal"/, '"protobufjs/minimal.js"'));
  run(bin("pbts"), ["-o", join(root, "proto", "gen", "mesh.d.ts"), generated]);
}

// A file that was deleted from src must not live on in dist, where the tests would still find it.
rmSync(join(root, "dist"), { recursive: true, force: true });
run(bin("tsc"), ["-p", "tsconfig.json"]);
// npm makes a command executable when it first links it, and not again after a build.
chmodSync(join(root, "dist", "src", "main.js"), 0o755);
