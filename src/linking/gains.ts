import type { Finding } from "../inspect/finding.ts";
import { DISTRIBUTION_NAMES } from "../registry/kube/traffic-labels.ts";
import type { Forecast } from "./forecast.ts";
import { type End, listText, type NameSeen, readyText, serviceOf } from "./names-seen.ts";
import { nameOf } from "./side.ts";

/** A name that would lead to more clusters than today. */
interface Gain {
  readonly forecast: Forecast;
  readonly name: NameSeen;
  /** Those that it would lead to, and does not today. */
  readonly gained: readonly (readonly [cluster: string, End])[];
  /** Those that it leads to anyway, its own among them. */
  readonly there: readonly (readonly [cluster: string, End])[];
  /** Whether a cluster's readiness is known. */
  readonly knows: (cluster: string) => boolean;
}

/** What callers would find that they do not find today (contract peering.md 2.12, 6.2). */
export function gainFindings(forecast: Forecast, knows: (cluster: string) => boolean): readonly Finding[] {
  const gains = gainsOf(forecast, knows);
  const aliases = new Map<string, Gain[]>();
  for (const gain of gains) {
    const { global } = gain.name;
    if (global.kind === "alias") aliases.set(serviceOf(global), [...(aliases.get(serviceOf(global)) ?? []), gain]);
  }
  return [
    ...gains.flatMap((gain) =>
      gain.name.global.kind === "global"
        ? [globalFinding(gain), ...conflictFindings(gain), ...portFindings(gain)]
        : gain.name.global.kind === "local"
          ? [takeoverFinding(gain)]
          : [],
    ),
    ...[...aliases.values()].map(aliasFinding),
  ];
}

function gainsOf(forecast: Forecast, knows: (cluster: string) => boolean): readonly Gain[] {
  const { before, after, side } = forecast;
  return [...after.names].flatMap(([key, name]): readonly Gain[] => {
    const known = before.names.get(key)?.ends;
    const ends = [...name.ends];
    const gained = ends.filter(([cluster]) => cluster !== side.cluster && known?.has(cluster) !== true);
    const there = ends.filter(([cluster]) => cluster === side.cluster || known?.has(cluster) === true);
    return gained.length === 0 ? [] : [{ forecast, name, gained, there, knows }];
  });
}

function findingFor(
  { forecast: { side }, name: { global } }: Gain,
  code: string,
  level: Finding["level"],
  evidence: string,
  { fix = "", field = "" } = {},
): Finding {
  return { code, level, cluster: side.cluster, object: `Service ${serviceOf(global)}`, field, evidence, fix };
}

const endsText = (ends: Gain["gained"], knows: Gain["knows"]): string =>
  listText(ends.map(([cluster, end]) => `${cluster} (${readyText(end, knows(cluster))})`));

const namesOf = (ends: Gain["gained"]): string => listText(ends.map(([cluster]) => cluster));

const SAMENESS =
  "rename one of them, or keep the peer's out with spec.import of a PeerGrant, if they are not one service";

function globalFinding(gain: Gain): Finding {
  const { forecast, name, gained, there, knows } = gain;
  const { side, own } = forecast;
  const { host, ports } = name.global;
  const from = endsText(gained, knows);
  if (own.get(serviceOf(name.global)) === "kept") {
    const evidence = `${nameOf(side)} has a Service of that name that it does not share: there ${host} would lead to ${from} only, and its cluster-local name to its own only`;
    return findingFor(gain, "CWY3023", "warning", evidence, { fix: SAMENESS });
  }
  const numbers = ports.map(({ servicePort }) => servicePort).join(", ") || "none";
  if (there.length === 0)
    return findingFor(gain, "CWY3021", "info", `${nameOf(side)} would get ${host} from ${from}, ports ${numbers}`);
  const wish = DISTRIBUTION_NAMES[name.global.distribution ?? "same-network"] ?? "PreferNetwork";
  const traffic =
    wish === "Any"
      ? `calls in ${side.cluster} would be shared among all`
      : `calls in ${side.cluster} would go to ${namesOf(gained)} once nothing nearer is healthy (${wish})`;
  const count = gained.length === 1 ? "1 cluster" : `${gained.length} clusters`;
  return findingFor(
    gain,
    "CWY3022",
    "info",
    `${host} would be one service of ${namesOf([...there, ...gained])}: it has ${endsText(there, knows)} today, and would gain endpoints of ${count}: ${from}; ${traffic}`,
  );
}

/** As the control plane merges them: whose word counts is its rule. */
function conflictFindings(gain: Gain): readonly Finding[] {
  const { forecast, name } = gain;
  const { key, conflicts, base, host } = name.global;
  const known = new Set((forecast.before.names.get(key)?.global.conflicts ?? []).map((each) => JSON.stringify(each)));
  return conflicts
    .filter((conflict) => !known.has(JSON.stringify(conflict)))
    .map(({ cluster, number, protocol, counts }) =>
      findingFor(
        gain,
        "CWY3024",
        "warning",
        `Port ${number} of ${host} is ${protocol} in ${cluster} and ${counts} in ${base}, which counts: callers in ${forecast.side.cluster} would speak ${counts} to all`,
        { fix: "set one appProtocol in all clusters", field: `spec.ports[port=${number}].appProtocol` },
      ),
    );
}

function portFindings(gain: Gain): readonly Finding[] {
  const { forecast, name, gained, there } = gain;
  const all = [...there, ...gained].flatMap(([cluster]) => {
    const ports = forecast.ports.get(`${cluster}/${serviceOf(name.global)}`);
    return ports === undefined ? [] : [{ cluster, ports }];
  });
  const numbers = [...new Set(all.flatMap(({ ports }) => ports))].sort((a, b) => a - b);
  const said = numbers.flatMap((number) => {
    const having = all.filter(({ ports }) => ports.includes(number));
    return having.length === all.length ? [] : [`${number} only in ${listText(having.map(({ cluster }) => cluster))}`];
  });
  if (said.length === 0) return [];
  const evidence = `The clusters differ in ports of ${name.global.host}: ${said.join("; ")}. Calls of a port go only to clusters that have it`;
  const fix = "give all of these Services the same ports, if that is not meant";
  return [findingFor(gain, "CWY3025", "warning", evidence, { fix, field: "spec.ports" })];
}

/** Where the cluster-local name would lead elsewhere (contract peering.md 2.8). */
function takeoverFinding(gain: Gain): Finding {
  const { forecast, name, gained } = gain;
  const { side, own } = forecast;
  const { host } = name.global;
  const evidence = own.has(serviceOf(name.global))
    ? `${host} in ${side.cluster} would lead to ${namesOf(gained)}, too`
    : `${host}, which nobody has in ${side.cluster}, would lead to ${namesOf(gained)}, as the label solo.io/service-takeover is there`;
  const fix = "take the label away first, if callers of that name must stay where they are";
  return findingFor(gain, "CWY3026", "warning", evidence, {
    ...{ fix, field: "metadata.labels[solo.io/service-takeover]" },
  });
}

function aliasFinding(gains: readonly Gain[]): Finding {
  const [first] = gains;
  const hosts = gains.map(({ name }) => name.global.host);
  const { gained, knows, forecast } = first!;
  const what = hosts.length === 1 ? "An alias" : "Aliases";
  const evidence = `${what} of Service ${serviceOf(first!.name.global)}, by Segments that both clusters have: ${listText(hosts)} would lead callers in ${forecast.side.cluster} to ${endsText(gained, knows)}`;
  return findingFor(first!, "CWY3027", "info", evidence);
}
