import type { ClusterFacts } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { entriesOfPage, isEmbedded, textOf } from "./mesh-parts.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

/** Certificates are valid a minute before they are made: more than that breaks them. */
const BROKEN_S = 60;
const NOTICED_S = 5;

/** Whether clocks agree: the API server's with ours, and those of peers with the control plane's. */
export function clockCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.clock);
  const { clockSkewMs } = facts.measured;
  if (isEmbedded(facts)) notes.line("API server: the cluster has none");
  else if (clockSkewMs === undefined) {
    notes.line("not measured", "info");
    notes.unknown("03", facts.cluster, {
      object: "API server",
      evidence: "the clock of the API server was not measured",
      fix: "",
    });
  } else {
    const seconds = Math.round(clockSkewMs / 1000);
    notes.line(`API server: ${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead of"} ours`);
    judge(notes, facts, "01", "API server", seconds, "of this machine");
  }
  for (const peer of entriesOfPage(facts, "peerz")) {
    const seconds = Math.round(Number(peer["clockSkewSeconds"] ?? 0));
    judge(notes, facts, "02", `peer ${textOf(peer["cluster"])}`, seconds, `of the control plane of ${facts.cluster}`);
  }
  return notes.outcome("clocks agree", facts.cluster);
}

function judge(
  notes: CheckNotes,
  facts: ClusterFacts,
  code: string,
  object: string,
  seconds: number,
  whose: string,
): void {
  if (Math.abs(seconds) < NOTICED_S) return;
  notes.note(Math.abs(seconds) >= BROKEN_S ? "error" : "warning", code, facts.cluster, {
    object,
    evidence: `the clock of ${object === "API server" ? "the API server" : object} is ${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead of"} that ${whose}`,
    fix: "set both by NTP: on each machine, timedatectl show -p NTPSynchronized says whether it is",
  });
}
