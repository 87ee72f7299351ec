import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { BaseImage } from "./buildah.ts";

const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Stand-ins of the two images that deploy/Dockerfile builds on, made of this machine's own Node.js, npm and libraries, as no
 * registry of images need be reached: what they have is where the images that docs/image.md names have it, and nothing else is.
 */
export function localBases(folder: string): Readonly<Record<"build" | "base", BaseImage>> {
  return { build: buildImage(join(folder, "build")), base: distroless(join(folder, "base")) };
}

/** As `node:24-bookworm-slim`: a shell, Node.js and npm, whose settings are those of this machine. */
function buildImage(root: string): BaseImage {
  prepare(root, "root:x:0:0:root:/root:/bin/sh");
  for (const program of ["/bin/sh", "/usr/bin/env"]) place(root, program);
  place(root, process.execPath, "/usr/local/bin/node");
  const npm = dirname(dirname(realpathSync(execFileSync("sh", ["-c", "command -v npm"]).toString().trim())));
  cpSync(npm, join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
  mkdirSync(join(root, "usr/local/etc"));
  const registry = execFileSync("npm", ["config", "get", "registry"]).toString().trim();
  const settings = [`cafile=${AUTHORITIES}`, `registry=${registry}`, "prefer-offline=true", "update-notifier=false"];
  writeFileSync(join(root, "usr/local/etc/npmrc"), settings.join("\n"));
  return { name: "localhost/node:24-bookworm-slim", root, config: ["--env", PATH, "--cmd", "node"] };
}

/** As `gcr.io/distroless/nodejs24-debian12`: Node.js, what it is linked with, the usual authorities; no shell. */
function distroless(root: string): BaseImage {
  prepare(root, "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin");
  place(root, process.execPath, "/nodejs/bin/node");
  const config = ["--user", "65532", "--workingdir", "/home/nonroot", "--entrypoint", '["/nodejs/bin/node"]'];
  return {
    ...{ name: "localhost/distroless/nodejs24-debian12:latest", root },
    config: ["--env", PATH, "--env", `SSL_CERT_FILE=${AUTHORITIES}`, ...config],
  };
}

function prepare(root: string, users: string): void {
  for (const folder of ["etc/ssl/certs", "proc", "sys", "dev", "root", "home/nonroot", "var/lib", "tmp"])
    mkdirSync(join(root, folder), { recursive: true });
  chmodSync(join(root, "tmp"), 0o1777);
  writeFileSync(join(root, "etc/passwd"), `${users}\n`);
  writeFileSync(join(root, "etc/group"), "root:x:0:\n");
  writeFileSync(join(root, "etc/nsswitch.conf"), "hosts: files dns\n");
  if (existsSync(AUTHORITIES)) copyFileSync(AUTHORITIES, join(root, AUTHORITIES));
}

/** A program with what it is linked with, each where it is here; the program itself may be elsewhere. */
function place(root: string, program: string, at = program): void {
  const linked = isScript(program) ? "" : execFileSync("ldd", [program]).toString();
  for (const library of linked.matchAll(/(?:=> )?(\/\S+) \(0x/g)) copy(root, library[1]!, library[1]!);
  copy(root, program, at);
}

function copy(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, to)), { recursive: true });
  copyFileSync(realpathSync(from), join(root, to));
  chmodSync(join(root, to), 0o755);
}

const isScript = (path: string): boolean => readFileSync(path).subarray(0, 2).toString() === "#!";
