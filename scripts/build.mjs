// Generates the codecs from proto/ and compiles src, test and bench into dist.
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
/** Resolves when it has ended. What fails ends all, and has said why itself. */
const run = (command, args) =>
  new Promise((resolve) =>
    spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
      .once("error", (error) => {
        throw error;
      })
      .once("exit", (code) => (code === 0 ? resolve() : process.exit(1))),
  );

const gen = join(root, "proto", "gen");
const mtimeOf = (path) => statSync(join(root, path)).mtimeMs;
const SHAPE = ["--no-create", "--no-verify", "--no-delimited", "--no-service"];

/**
 * Makes proto/gen/<name>.js and its types, unless both are newer than what they are made of. Each has a root of its own:
 * of two modules that share one, the second replaces the package `envoy` of the first.
 */
async function generate(name, sources, args) {
  const code = join(gen, `${name}.js`);
  const newest = Math.max(...[...sources, join("scripts", "build.mjs")].map(mtimeOf));
  if (existsSync(code) && statSync(code).mtimeMs >= newest) return;
  mkdirSync(gen, { recursive: true });
  // The code comes last: a build that was cut off is begun anew.
  const made = join(gen, `${name}.made.js`);
  await run(bin("pbjs"), ["-t", "static-module", "-w", "es6", "--es6", "-r", name, ...SHAPE, "-o", made, ...args]);
  await run(bin("pbts"), ["-o", join(gen, `${name}.d.ts`), made]);
  // Node resolves ES module paths literally; the generator leaves the ending out. The comments are in the types.
  const text = readFileSync(made, "utf8").replace(/"protobufjs\/minimal"/, '"protobufjs/minimal.js"');
  writeFileSync(code, text.replace(/^ *\/\*\*[^]*?\*\/\n/gm, ""));
  rmSync(made);
}

const protos = readdirSync(join(root, "proto"))
  .filter((name) => name.endsWith(".proto"))
  .map((name) => join("proto", name));
const generated = [generate("mesh", protos, ["--force-long", "-p", "proto", ...protos])];

// Envoy's own messages: those that a list names, and what they are made of. A gateway's agent needs one of all, and the
// rest would take 20 MB in each of its pods.
const packaged = join("node_modules", "@grpc", "grpc-js-xds", "deps");
const folders = ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].flatMap((name) => [
  "-p",
  join(packaged, name),
]);
for (const name of ["envoy", "secret"]) {
  const list = join("proto", `${name}.json`);
  const { files } = JSON.parse(readFileSync(join(root, list), "utf8"));
  generated.push(
    generate(name, [list, "package-lock.json"], ["--force-number", "--filter", list, ...folders, ...files]),
  );
}
await Promise.all(generated);

// A file that was deleted from src must not live on in dist, where the tests would still find it.
rmSync(join(root, "dist"), { recursive: true, force: true });

// What runs in browsers has no Node: it is compiled apart, and its pages and styles lie beside it.
const page = join("src", "topology", "page");
await Promise.all(["tsconfig.json", join(page, "tsconfig.json")].map((project) => run(bin("tsc"), ["-p", project])));
for (const name of readdirSync(join(root, page)))
  if (/\.(?:html|css|svg)$/.test(name)) copyFileSync(join(root, page, name), join(root, "dist", page, name));
// npm makes a command executable when it first links it, and not again after a build.
chmodSync(join(root, "dist", "src", "main.js"), 0o755);
