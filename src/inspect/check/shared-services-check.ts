import type { ClusterFacts } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { entriesOfPage, fieldsIn, fieldsOf, isWritten, textOf } from "./mesh-parts.ts";
import { contextFlag } from "./fixes.ts";
import { CheckNotes, plural, type Outcome } from "./outcome.ts";
import { planeRestarted } from "./plane-fixes.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Types that both ends say something of; single pods only go over links of flat networks. */
const TYPES = ["SGDS", "FSDS", "WDS"] as const;
const REFUSED_SHOWN_MAX = 3;

/** Whether each cluster holds of each other exactly what that one shares with it, both ways, by digest. */
export function sharedServicesCheck(mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.shared);
  for (const reader of mesh) {
    for (const peer of entriesOfPage(reader, "peerz")) {
      const exporter = mesh.find(({ cluster }) => cluster === textOf(peer["cluster"]));
      noteRefused(notes, reader, peer);
      if (exporter !== undefined) compare(notes, reader, peer, exporter);
    }
    if (reader.planes.length === 0)
      notes.unknown("02", reader.cluster, {
        ...{ object: `cluster ${reader.cluster}`, fix: "" },
        evidence: `what ${reader.cluster} holds of its peers is not known: no control plane was asked for its pages`,
      });
  }
  return notes.outcome("all clusters hold what is shared with them", undefined);
}

function noteRefused(notes: CheckNotes, reader: ClusterFacts, peer: Fields): void {
  const { cluster } = reader;
  const refused = Number(peer["denied"] ?? 0);
  if (refused === 0) return;
  const shown = fieldsIn(peer["denials"]).slice(0, REFUSED_SHOWN_MAX);
  const what = shown.map(({ name, reason, message }) => `${textOf(name)} (${textOf(reason)}: ${textOf(message)})`);
  const at = isWritten(reader) ? " --state <folder>" : contextFlag(reader);
  const allDenied = `causeway multicluster topology -o json${at}`;
  // Records of services are called cluster/namespace/name.
  const [, namespace, service] = textOf(shown[0]?.["name"]).split("/");
  notes.warn("03", cluster, {
    object: `peer ${textOf(peer["cluster"])}`,
    evidence: `${cluster} refuses ${plural(refused, "record")} of ${textOf(peer["cluster"])}: ${what.join(", ")}`,
    fix: service === undefined ? allDenied : `causeway multicluster explain ${service}.${namespace}${at}; ${allDenied}`,
  });
}

function compare(notes: CheckNotes, reader: ClusterFacts, peer: Fields, exporter: ClusterFacts): void {
  const served = servedTo(exporter, reader.cluster);
  const held = fieldsOf(peer["contents"]);
  if (served === undefined || Object.keys(held).length === 0)
    return unknown(notes, reader, exporter, served === undefined);
  const differing = TYPES.filter((type) => digestOf(served[type]) !== digestOf(held[type]));
  const counts = `${recordsOf(held["FSDS"])} of ${recordsOf(served["FSDS"])} services`;
  // What was refused, by the rules of this end, is missing here for that reason.
  if (differing.length === 0 || Number(peer["denied"] ?? 0) > 0)
    return notes.line(
      `${reader.cluster} holds ${counts} of ${exporter.cluster}`,
      differing.length === 0 ? "ok" : "warning",
    );
  notes.line(`${reader.cluster} holds ${counts} of ${exporter.cluster}, and not as they are there`, "error");
  notes.error("01", reader.cluster, {
    object: `peer ${exporter.cluster}`,
    field: differing.join(","),
    evidence: `what ${reader.cluster} holds of ${exporter.cluster} is not what ${exporter.cluster} shares (${differing.map((type) => `${type} ${digestOf(held[type])} here, ${digestOf(served[type])} there`).join("; ")})`,
    fix: `run the check again; if it says the same: causeway bug-report${contextFlag(reader)}; ${planeRestarted(reader)}`,
  });
}

function unknown(notes: CheckNotes, reader: ClusterFacts, exporter: ClusterFacts, there: boolean): void {
  const who = there ? exporter.cluster : reader.cluster;
  const evidence = `whether ${reader.cluster} holds what ${exporter.cluster} shares is not known: the pages of ${who} do not say`;
  notes.line(evidence, "info");
  notes.unknown("02", reader.cluster, { object: `peer ${exporter.cluster}`, evidence, fix: "" });
}

/** What a cluster says that it shares with another one; any of its replicas may serve it. */
function servedTo(exporter: ClusterFacts, cluster: string): Fields | undefined {
  for (const { pages } of exporter.planes) {
    const page = pages.get("peerclientz");
    const served = fieldsIn(fieldsOf(page !== undefined && "body" in page ? page.body : undefined)["served"]);
    const client = served.find(
      (each) => each["cluster"] === cluster && Object.keys(fieldsOf(each["contents"])).length > 0,
    );
    if (client !== undefined) return fieldsOf(client["contents"]);
  }
  return undefined;
}

const EMPTY = "0".repeat(16);
const digestOf = (contents: unknown): string => textOf(fieldsOf(contents)["digest"]) || EMPTY;
const recordsOf = (contents: unknown): number => Number(fieldsOf(contents)["records"] ?? 0);
