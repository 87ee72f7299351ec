// Runs the conformance suites whose files begin with one of the given words, or all: npm run conformance -- kubernetes
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const suites = readdirSync(join(root, "dist", "test", "conformance")).filter((name) => name.endsWith(".test.js"));
const words = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith("-"));
const chosen = suites.filter((name) => words.length === 0 || words.some((word) => name.startsWith(word)));
const unknown = words.filter((word) => !suites.some((name) => name.startsWith(word)));
if (unknown.length > 0) {
  const known = suites.map((name) => name.replace(".test.js", "")).join(", ");
  console.error(`conformance: no suite begins with ${unknown.join(" or ")}; there are ${known}`);
  process.exit(64);
}
/**
 * Suites run two at a time. Those that take long, most of it waiting, begin; the first builds the API server meanwhile. The rest
 * follows by name.
 */
const LONG = [
  "kubernetes-faults",
  "fresh-start",
  "spire-faults",
  "peering-links",
  "spire",
  "kubernetes-replicas",
  "trust",
  "trust-followers",
  "kubernetes-remote",
].map((name) => `${name}.test.js`);
chosen.sort((a, b) => rank(a) - rank(b));
function rank(name) {
  const at = LONG.indexOf(name);
  return at < 0 ? LONG.length : at;
}
const mocha = join(root, "node_modules", ".bin", "mocha");
const files = chosen.map((name) => join("dist", "test", "conformance", name));
const { status } = spawnSync(mocha, ["--config", ".mocharc.conformance.json", ...flags, ...files], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
