import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseManifest } from "../../../src/registry/embedded/manifest.ts";

const PAGE = join(import.meta.dirname, "..", "..", "..", "..", "docs", "analysis.md");

/** A section of docs/analysis.md that is about one code. */
export interface Section {
  readonly code: string;
  /** As the first sentence has it. */
  readonly title: string;
  readonly level: string;
  /** Undefined where there can be none. */
  readonly example: string | undefined;
}

const page = readFileSync(PAGE, "utf8");

export const sections: readonly Section[] = page
  .split(/^### /m)
  .slice(1)
  .map((text) => {
    const [, code, title, level] = /^(CWY\d{4})\n\n\*\*(.+?)\*\* \((\w+)\)\. /.exec(text) ?? [];
    assert.ok(code !== undefined, `a section begins with ${text.slice(0, 60)}`);
    return { code, title: title!, level: level!, example: /```yaml\n([\s\S]*?)```/.exec(text)?.[1] };
  });

/** A cluster of an example: its name, and its manifests as text. */
export interface ExampleCluster {
  readonly name: string;
  readonly text: string;
}

/** The example as it is written, or as it should be; with all that examples leave out. */
export function clustersOf(example: string, as: "wrong" | "right"): readonly ExampleCluster[] {
  const other = as === "wrong" ? "right" : "wrong";
  const lines = example.split("\n").filter((line) => !line.endsWith(` # ${other}`));
  assert.match(example, / # (wrong|right)$/m, "an example has something wrong");
  const text = lines.join("\n").replaceAll(` # ${as}`, "");
  const parts = text.split(/^# cluster: /m).slice(1);
  const heads = parts.map((part) => part.slice(0, part.indexOf("\n")).split(", "));
  return parts.map((part, at) => {
    const own = part.slice(part.indexOf("\n") + 1).replace(/---\n$/, "");
    const [name = "", ...words] = heads[at]!;
    const peers = heads.flatMap(([other = "", ...said]) => (other !== name && said.includes("joined") ? [other] : []));
    return { name, text: [own, ...leftOut(name, words, [...new Set(peers)], own)].join("---\n") };
  });
}

const ADDRESSES = new Map([
  ["east", "192.0.2.10"],
  ["west", "192.0.2.20"],
  ["north", "192.0.2.30"],
]);

const common = (() => {
  const block = /## What examples leave out[\s\S]*?```yaml\n([\s\S]*?)```/.exec(page)![1]!;
  const parts = block.split(/^# (?=\w+\n)/m).slice(1);
  return new Map(parts.map((part) => [part.split("\n")[0]!, part.slice(part.indexOf("\n") + 1).split("---\n")]));
})();

/** What belongs to a cluster, but for what the example has itself. */
function leftOut(name: string, words: readonly string[], peers: readonly string[], own: string): readonly string[] {
  const titles = new Set(titlesIn(own));
  const wanted = new Set(["always", ...words, ...(words.includes("cart") ? ["shop"] : [])]);
  const at = (text: string, place: string): string => text.replaceAll("ADDRESS", ADDRESSES.get(place)!);
  const links = wanted.has("joined")
    ? peers.flatMap((peer) => common.get("peer")!.map((text) => at(text.replaceAll("PEER", peer), peer)))
    : [];
  const rest = [...wanted].flatMap((word) => common.get(word) ?? assert.fail(`nothing is called ${word}`));
  return [...rest.map((text) => at(text.replaceAll("CLUSTER", name), name)), ...links]
    .filter((text) => text.trim() !== "")
    .filter((text) => titlesIn(text).every((title) => !titles.has(title)));
}

const titlesIn = (text: string): readonly string[] =>
  parseManifest(text).objects.map(
    ({ object: { kind, metadata } }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`,
  );
