import { formatDuration } from "../duration.ts";
import { printable } from "../printable.ts";
import type { SpireCheck } from "../spire/status/check.ts";
import type { BundleView, SpireStatusView } from "./spire-view.ts";
import { type Row, table } from "./table.ts";

/** Longer than cells of tables: a fix that is cut off mends nothing. */
const LINE_CHARACTERS_MAX = 2_000;
const DIGEST_CHARACTERS = 16;

const BUNDLE_HEADERS = ["TRUST DOMAIN", "DIGEST", "SEQUENCE", "ROOTS", "LAST ENDS", "AGE", "FROM"];

/** For people: each check with what was seen and what mends it, then the bundles. */
export function spireStatusText({ checks, bundles }: SpireStatusView): string {
  const width = checks.reduce((most, { name }) => Math.max(most, name.length), 0);
  const lines = checks.flatMap((check) => checkLines(check, width));
  const shown = bundles.length === 0 ? "" : `\n${table(BUNDLE_HEADERS, bundles.map(bundleRow))}`;
  return `${lines.join("\n")}\n${shown}`;
}

const STATE_WIDTH = "unknown".length;

function checkLines({ name, state, evidence, fix }: SpireCheck, width: number): readonly string[] {
  const line = (first: string, second: string, text: string): string =>
    printable(`${first.padEnd(STATE_WIDTH)}  ${second.padEnd(width)}  ${text}`, LINE_CHARACTERS_MAX);
  return [line(state, name, evidence), ...(fix === "" ? [] : [line("", "  fix", fix)])];
}

function bundleRow({ trustDomain, digest, sequence, roots, ageSeconds, source }: BundleView): Row {
  const ends = roots.map(({ until }) => until).sort();
  return [
    trustDomain,
    digest.slice(0, DIGEST_CHARACTERS) || "-",
    sequence || "-",
    `${roots.length}`,
    ends.at(-1)?.replace(/\.\d+/, "") ?? "-",
    ageSeconds === undefined ? "-" : formatDuration(ageSeconds * 1000),
    source,
  ];
}
