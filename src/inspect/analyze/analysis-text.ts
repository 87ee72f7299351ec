import { printable } from "../../printable.ts";
import { documentationOf, type Finding } from "../finding.ts";

/** For people: a block for each finding, and how many there are. Empty if no cluster could be read. */
export function analysisText(clusters: readonly string[], findings: readonly Finding[]): string {
  const names = clusters.map((name) => printable(name, LINE_CHARACTERS_MAX)).join(", ");
  if (clusters.length === 0) return "";
  if (findings.length === 0) return `Nothing to say of ${clusters.length === 1 ? "cluster" : "clusters"} ${names}.\n`;
  const blocks = findings.map((finding) => {
    const { code, level, cluster, object, field, origin, evidence, fix } = finding;
    const where = [cluster === undefined ? "" : `cluster ${cluster}`, object, field].filter((part) => part !== "");
    const head = `${LEVELS[level]} [${code}] ${where.join(", ")}${origin === undefined ? "" : ` (${origin})`}`;
    const advice = fix === "" ? [] : [`  fix: ${fix}`];
    const lines = [head, `  ${evidence}`, ...advice, `  see ${documentationOf("analysis", finding)}`];
    return `${lines.map((line) => printable(line, LINE_CHARACTERS_MAX)).join("\n")}\n`;
  });
  return `${blocks.join("\n")}\n${countsOf(findings)} in ${names}\n`;
}

const LINE_CHARACTERS_MAX = 2_000;
const LEVELS = { error: "Error", warning: "Warning", info: "Info", ok: "Ok" } as const;

function countsOf(findings: readonly Finding[]): string {
  const counted = (["error", "warning", "info"] as const).map((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return level === "info" ? `${count} info` : `${count} ${level}${count === 1 ? "" : "s"}`;
  });
  return counted.join(", ");
}
