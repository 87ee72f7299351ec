import { decodedResource } from "../../src/xds/envoy/decoded.ts";
import { envoy } from "../../src/xds/envoy/message.ts";
import { TYPE_NAMES, type TypeUrl } from "../../src/xds/resource.ts";
import type { ResourceLog } from "../../src/xds/resource-log.ts";
import { contentVersion, resourceBody } from "../../src/xds/wire.ts";
import type { RealEnvoy } from "./real-envoy.ts";

/** As much of Envoy's `/config_dump` as is compared. */
interface Dump {
  readonly configs: readonly {
    readonly dynamic_listeners?: readonly {
      readonly name: string;
      readonly active_state?: { readonly listener: object };
    }[];
    readonly dynamic_active_clusters?: readonly (Versioned & { readonly cluster: { readonly name: string } })[];
    readonly dynamic_route_configs?: readonly (Versioned & { readonly route_config: { readonly name: string } })[];
    readonly dynamic_active_secrets?: readonly (Versioned & { readonly name: string })[];
    readonly dynamic_endpoint_configs?: readonly { readonly endpoint_config: Assignment }[];
  }[];
}
interface Versioned {
  readonly version_info?: string;
}
interface Assignment {
  readonly cluster_name?: string;
  readonly endpoints?: readonly { readonly lb_endpoints?: readonly unknown[] }[];
}

/** The agent's, which is not told over ADS. */
const OWN_SECRET = "workload";
/** The clusters whose endpoints come over ADS. */
const OUTBOUND = "outbound|";

/**
 * What Envoy works with, as `CDS name version`, sorted; a version is a hash of the content. Endpoints are counted. Envoy
 * shows the first version of a listener although it works with a later one, so its values are compared.
 */
export async function activeIn(envoy: RealEnvoy): Promise<readonly string[]> {
  const { configs } = JSON.parse(await envoy.get("/config_dump?include_eds")) as Dump;
  const active = configs.flatMap((config) => [
    ...(config.dynamic_listeners ?? []).map(({ name, active_state: state }) => [
      "LDS",
      name,
      fingerprint({ ...state?.listener, "@type": "" }),
    ]),
    ...(config.dynamic_active_clusters ?? []).map((it) => ["CDS", it.cluster.name, it.version_info]),
    ...(config.dynamic_route_configs ?? []).map((it) => ["RDS", it.route_config.name, it.version_info]),
    ...(config.dynamic_active_secrets ?? [])
      .filter(({ name }) => name !== OWN_SECRET)
      .map((it) => ["SDS", it.name, it.version_info]),
    ...(config.dynamic_endpoint_configs ?? [])
      .map((it) => it.endpoint_config)
      .filter(({ cluster_name: name }) => name?.startsWith(OUTBOUND))
      .map((it) => ["EDS", it.cluster_name, `${countOf(it.endpoints?.map((group) => group.lb_endpoints))}`]),
  ]);
  return active.map((words) => words.join(" ")).sort();
}

/** What it should work with. */
export function meantBy(logs: ReadonlyMap<TypeUrl, ResourceLog>): readonly string[] {
  const lines = [...logs].flatMap(([typeUrl, log]) => {
    const word = TYPE_NAMES.get(typeUrl)!;
    const what = (name: string): string => {
      if (word === "EDS") return `${endpointsOf(log, name)}`;
      return word === "LDS" ? fingerprint(decodedResource(typeUrl, log.get(name)!)) : log.versionOf(name)!;
    };
    return Array.from(log.names(), (name) => `${word} ${name} ${what(name)}`);
  });
  return lines.sort();
}

function endpointsOf(log: ResourceLog, name: string): number {
  const { endpoints } = envoy.config.endpoint.v3.ClusterLoadAssignment.decode(resourceBody(log.get(name)!));
  return countOf(endpoints.map(({ lbEndpoints }) => lbEndpoints));
}

const countOf = (groups: readonly (readonly unknown[] | null | undefined)[] | undefined): number =>
  (groups ?? []).reduce((count, group) => count + (group?.length ?? 0), 0);

/**
 * The values in a message, whichever way it is written: Envoy's dump and our own decoding differ in names, wrappers and
 * durations. What is default may be said or not; that is what names of enumerations mostly are here.
 */
function valuesIn(message: unknown): string[] {
  if (typeof message !== "object" || message === null) {
    const text = String(message);
    return /^(|0|0s|false|[A-Z][A-Z0-9_]*)$/.test(text) ? [] : [text];
  }
  // The first is younger than our definitions: we write its bytes by hand, and do not decode it.
  const { address_match: _, seconds, nanos, ...more } = message as Record<string, unknown>;
  if ((seconds !== undefined || nanos !== undefined) && Object.keys(more).length === 0)
    return valuesIn(durationText(Number(seconds ?? 0), Number(nanos ?? 0)));
  const whole = seconds === undefined && nanos === undefined ? more : message;
  return Object.entries(whole).flatMap(([key, value]) => [
    // Of maps the keys are values, too.
    ...(/[^A-Za-z0-9_@]/.test(key) ? [key] : []),
    ...valuesIn(value),
  ]);
}

function durationText(seconds: number, nanos: number): string {
  if (nanos === 0) return `${seconds}s`;
  const digits = String(nanos)
    .padStart(9, "0")
    .replace(/(000)+$/, "");
  return `${seconds}.${digits}s`;
}

const fingerprint = (message: unknown): string => contentVersion(Buffer.from(valuesIn(message).sort().join("\n")));
