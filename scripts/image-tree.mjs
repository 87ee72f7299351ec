// Lays out what the image holds, and its bill of materials: npm run image:tree -- <folder>. The same sources make the same tree, on
// any machine: nothing is downloaded, no time and no owner of this machine's is in it.
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const folder = process.argv[2];
if (folder === undefined || (existsSync(folder) && readdirSync(folder).length > 0)) {
  console.error("image:tree: give a folder that is empty or not there yet, as npm run image:tree -- /tmp/tree");
  process.exit(64);
}
const app = join(folder, "app");
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const installed = Object.entries(lock.packages).filter(
  ([path, { dev, devOptional, optional }]) =>
    path !== "" && !dev && !devOptional && !(optional && !existsSync(join(root, path))),
);
const read = (path) => JSON.parse(readFileSync(join(root, path, "package.json"), "utf8"));

/** Types, maps, prose, tests, and what is for other runtimes: nobody runs them here. Licences stay. */
const IDLE =
  /\.(d\.[cm]?ts|ts|mts|cts|map|md|markdown|flow|bare)$|^(README|CHANGELOG|HISTORY)|^(tests?|coverage|\.github)$/i;
const isKept = (path) => !IDLE.test(basename(path)) || /^licen[cs]e/i.test(basename(path));

// Maps of our own code make stack traces readable; those of generated code are larger than it.
cpSync(join(root, "dist", "src"), join(app, "dist", "src"), { recursive: true });
cpSync(join(root, "dist", "proto"), join(app, "dist", "proto"), {
  recursive: true,
  filter: (path) => !path.endsWith(".map"),
});
for (const [path] of installed) {
  const own = (source) => source === join(root, path) || (isKept(source) && basename(source) !== "node_modules");
  cpSync(join(root, path), join(app, path), { recursive: true, filter: own });
}
const { name, version, type, license } = read(".");
const write = (path, text, mode = 0o644) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
};
write(join(app, "package.json"), `${JSON.stringify({ name, version, type, license }, null, 2)}\n`);
cpSync(join(root, "LICENSE"), join(app, "LICENSE"));
// There is no shell and no `env`: the kernel starts what the first line names.
for (const word of ["causeway", "pilot-discovery"])
  write(join(folder, "usr/local/bin", word), '#!/nodejs/bin/node\nimport("/app/dist/src/main.js");\n', 0o755);
write(join(app, "sbom.cdx.json"), `${JSON.stringify(billOfMaterials(), null, 2)}\n`);

const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();
const digest = createHash("sha256");
let bytes = 0;
for (const file of files) {
  const path = join(folder, file);
  const found = statSync(path);
  const { mode, size } = found;
  // Whatever umask this machine has: what is run as another user has to be read.
  chmodSync(path, found.isDirectory() || mode & 0o111 ? 0o755 : 0o644);
  if (found.isFile()) {
    bytes += size;
    digest.update(`${file}\0${mode & 0o111 ? "x" : "-"}\0${size}\0`).update(readFileSync(path));
  }
  // Layers carry times: those of the tree are none of this machine's.
  utimesSync(path, 0, 0);
}
console.log(JSON.stringify({ folder, files: files.length, bytes, digest: digest.digest("hex") }));

/** CycloneDX 1.6: each package as it was locked, with the hash that npm verified. */
function billOfMaterials() {
  const purl = (of, at) => `pkg:npm/${of.replace("@", "%40")}@${at}`;
  const components = installed.map(([path, { version: at, integrity = "" }]) => {
    const { name: of, license: licence } = read(path);
    const [algorithm, value] = integrity.split("-");
    return {
      type: "library",
      "bom-ref": `${purl(of, at)}#${path}`,
      name: of,
      version: at,
      purl: purl(of, at),
      ...(algorithm === "sha512" && {
        hashes: [{ alg: "SHA-512", content: Buffer.from(value, "base64").toString("hex") }],
      }),
      ...(typeof licence === "string" && {
        licenses: [/[ ()]/.test(licence) ? { expression: licence } : { license: { id: licence } }],
      }),
    };
  });
  const component = { type: "application", "bom-ref": purl(name, version), name, version, purl: purl(name, version) };
  return { bomFormat: "CycloneDX", specVersion: "1.6", version: 1, metadata: { component }, components };
}
