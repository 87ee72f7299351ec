import * as types from "../../kube/resource-types.ts";
import type { ResourceType } from "../../kube/api.ts";
import { nearestName } from "../../nearest-name.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import type { Finding } from "../finding.ts";
import { analysed } from "./codes.ts";
import type { Site } from "./site.ts";

/** Istio's kinds for sidecars and Envoys, and what says the same in ambient mode. */
const OF_SIDECARS: ReadonlyMap<string, string> = new Map([
  ["VirtualService", "use an HTTPRoute whose parent is the Service"],
  ["Sidecar", "delete it: ztunnels need no limits"],
  ["EnvoyFilter", "delete it: nothing here applies it"],
  ["WasmPlugin", "delete it: nothing here applies it"],
  ["ProxyConfig", "delete it: nothing here applies it"],
  ["WorkloadGroup", "write WorkloadEntries"],
]);

const OURS = /(^|\.)(istio\.io|solo\.io|causeway\.dev|gateway\.networking\.k8s\.io|spiffe\.io)$/;
const KNOWN = Object.values(types)
  .filter((type): type is ResourceType => "kind" in type)
  .map(({ kind }) => kind);

/** Kinds that somebody expects something of, and what could not be read. Others' kinds are none of our business. */
export function fileFindings({ facts }: Site): readonly Finding[] {
  const unread = unreadFindings(facts);
  const unknown = (facts.files?.unknownKinds ?? []).flatMap(({ apiVersion, kind, origin }) => {
    const subject = { cluster: facts.cluster, object: `${kind} (${apiVersion})`, field: "kind", origin };
    const instead = OURS.test(groupOf(apiVersion)) ? OF_SIDECARS.get(kind) : undefined;
    if (instead !== undefined)
      return [
        analysed("CWY2005", subject, `${kind} is for sidecars and has no effect in ambient mode`, { fix: instead }),
      ];
    const meant = nearestName(kind, KNOWN);
    const similar = meant !== undefined && meant.length > 4 && !KNOWN.includes(kind);
    if (similar && (OURS.test(groupOf(apiVersion)) || apiVersion === "v1"))
      return [
        analysed("CWY2004", subject, `nothing reads the kind ${kind}, so it has no effect`, {
          ...{ level: "warning", fix: `did you mean ${meant}?` },
        }),
      ];
    return OURS.test(groupOf(apiVersion))
      ? [analysed("CWY2004", subject, `nothing here reads ${kind} of ${apiVersion}, so it has no effect`)]
      : [];
  });
  return [...unread, ...unknown];
}

/** What may not be listed is said once, with what allows it: it is one mistake, and mostly of many kinds. */
function unreadFindings({ kinds, cluster, context }: ClusterFacts): readonly Finding[] {
  const hidden = [...kinds].flatMap(([kind, known]) =>
    "why" in known && !known.absent ? [{ kind, why: known.why }] : [],
  );
  const denied = hidden.filter(({ why }) => DENIED.test(why));
  const others = hidden
    .filter(({ why }) => !DENIED.test(why))
    .map(({ kind, why }) =>
      analysed("CWY2010", { cluster, object: kind }, `they could not be read, so nothing is said of them: ${why}`),
    );
  if (denied.length === 0) return others;
  const names = denied.map(({ kind }) => kind).sort();
  const who = /User "([^"]+)"/.exec(denied[0]!.why)?.[1] ?? "the reader";
  const kubectl = context === undefined ? "kubectl" : `kubectl --context ${context}`;
  const fix = `give ${who} a ClusterRole with the verb list on these; ${kubectl} auth can-i --list says what it may`;
  const evidence = `${who} may not list ${names.join(", ")}: nothing is said of what depends on them`;
  return [analysed("CWY2010", { cluster, object: "the right to list" }, evidence, { fix }), ...others];
}

const DENIED = / 403 Forbidden/;

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.split("/")[0]! : "");
