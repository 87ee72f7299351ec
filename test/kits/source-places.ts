import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "mocha";

/**
 * Mocha asks for this file in each of its processes. What failed names its places in our sources, and only what failed: Node
 * itself, by --enable-source-maps, would read the map of every module and look through them for each error that is made,
 * which is a fifth of all that the tests cost.
 */
export const mochaHooks = {
  afterEach(this: Context): void {
    let error: unknown = this.currentTest?.err;
    for (; error instanceof Error; error = error.cause)
      if (error.stack !== undefined) error.stack = withSourcePlaces(error.stack);
  },
};

/** The same stack, with the places in compiled files replaced by those that they were compiled from. */
export function withSourcePlaces(stack: string): string {
  return stack.replace(/(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g, (place, url: string, line: string, column: string) => {
    const path = fileURLToPath(url);
    // Counted from 1 in a stack, and from 0 in a map.
    const entry = mapOf(path)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (entry === undefined || !("originalSource" in entry)) return place;
    const source = resolve(dirname(path), entry.originalSource);
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

function mapOf(path: string): SourceMap | undefined {
  const map = `${path}.map`;
  return existsSync(map) ? new SourceMap(JSON.parse(readFileSync(map, "utf8"))) : undefined;
}
