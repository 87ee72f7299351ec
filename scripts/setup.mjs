// Installs and builds what is missing or older than its sources, so that `npm start` and `npm test` work on a fresh clone.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const installed = join(root, "node_modules", ".causeway-lock");
const built = join(root, "dist", ".built");
const lock = readFileSync(join(root, "package-lock.json"), "utf8");

if (!existsSync(installed) || readFileSync(installed, "utf8") !== lock) {
  console.error("causeway: installing packages");
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, stdio: ["ignore", 2, 2] });
  writeFileSync(installed, lock);
}

function newest(folder) {
  return Math.max(
    ...readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => !path.startsWith("gen"))
      .map((path) => statSync(join(root, folder, path)).mtimeMs),
  );
}

const sources = Math.max(
  ...["src", "test", "bench", "proto", "scripts"].map(newest),
  statSync(join(root, "tsconfig.json")).mtimeMs,
);
if (!existsSync(built) || statSync(built).mtimeMs < sources) {
  console.error("causeway: building");
  execFileSync(process.execPath, [join(root, "scripts", "build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
  writeFileSync(built, "");
}
