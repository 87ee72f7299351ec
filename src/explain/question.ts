import { MeshError } from "../errors.ts";
import { hostname, serviceName, type Hostname, type ServiceName } from "../names.ts";
import { printable } from "../printable.ts";
import { globalHostname } from "../registry/global-hosts.ts";
import type { Registry } from "../registry/registry.ts";
import { NO_SEGMENT } from "../registry/segments.ts";

/** One name, and one of its ports if that matters. */
export interface Question {
  readonly asked: string;
  readonly host: Hostname;
  readonly key: ServiceName;
  readonly namespace: string;
  /** Of the Services that it is made of. */
  readonly name: string;
  readonly port: number | undefined;
  /** True for the cluster's own name, as `cart.shop.svc.cluster.local`. */
  readonly isLocal: boolean;
  /** True if something else than Services has the name here, as a ServiceEntry. */
  readonly isOther: boolean;
}

/** Whether it could be asked at all. */
export const isAskable = (asked: string): boolean => partsOf(asked) !== undefined;

const HOST = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/**
 * `cart.shop.mesh.internal`, an alias, `cart.shop.svc.cluster.local`, or `cart.shop` for the name that peers share; any
 * with `:port`. @throws MeshError `invalid` if it is none of these.
 */
export function questionOf(asked: string, registry: Registry): Question {
  const parts = partsOf(asked);
  if (parts === undefined)
    throw new MeshError(
      "invalid",
      `"${printable(asked, 120)}" is no host: give one as cart.shop.mesh.internal, cart.shop.svc.cluster.local or cart.shop, with :port if that matters`,
    );
  return { asked, port: parts.port, ...meaningOf(parts.host, registry) };
}

function partsOf(asked: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const [, host = "", digits] = /^(.*?)\.?(?::([0-9]{1,5}))?$/.exec(asked.toLowerCase()) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  const fits = HOST.test(host) && host.includes(".") && port !== 0 && (port ?? 1) <= 65_535;
  return fits ? { host, port } : undefined;
}

function meaningOf(text: string, registry: Registry): Omit<Question, "asked" | "port"> {
  const { offers, options, shared } = registry.globalCandidates.inputs;
  const { localCluster, mesh } = options;
  const [name = "", namespace = "", ...rest] = text.split(".");
  const suffix = rest.join(".");
  const isLocal = suffix === "svc" || suffix === `svc.${mesh.clusterDomain}`;
  if (isLocal) return named(`${name}.${namespace}.svc.${mesh.clusterDomain}`, namespace, name, true);
  if (suffix === "") {
    const { domain } = shared.segments.ofCluster.get(localCluster) ?? NO_SEGMENT;
    return named(globalHostname(name, namespace, domain), namespace, name, false);
  }
  for (const [, global] of offers.hosts.entries())
    if (global.host === text) return named(text, global.namespace, global.name, global.kind === "local");
  const { services } = registry;
  const own = Array.from(services.entries(), ([, service]) => service).filter(({ hostname }) => hostname === text);
  const service = own.find(({ canonical }) => canonical) ?? own[0];
  if (service === undefined) return named(text, namespace, name, false);
  return { ...named(text, service.namespace, service.name, false), isOther: true };
}

const named = (host: string, namespace: string, name: string, isLocal: boolean) => ({
  host: hostname(host),
  key: serviceName(namespace, host),
  namespace,
  name,
  isLocal,
  isOther: false,
});
