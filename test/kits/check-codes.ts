import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKS } from "../../src/inspect/check/checks.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "src", "inspect", "check");

/** The codes that a check can find, as its source has them. */
export function checkCodes(): ReadonlySet<string> {
  const found = new Set<string>(Object.values(CHECKS).map(({ codes }) => `${codes}00`));
  for (const file of readdirSync(folder)) {
    const text = readFileSync(join(folder, file), "utf8");
    const [, key] = /CHECKS\.(\w+)/.exec(text) ?? [];
    if (key === undefined) continue;
    const { codes } = CHECKS[key as keyof typeof CHECKS];
    for (const [, digits] of text.matchAll(/"(\d\d)"/g)) found.add(`${codes}${digits}`);
  }
  return found;
}
