import { globalHostname } from "../registry/global-hosts.ts";
import type { Registry } from "../registry/registry.ts";
import type { GlobalService } from "./view.ts";

/** What one cluster adds to the services that all share: host to ready endpoints, counted in its own objects alone. */
export type Shared = ReadonlyMap<string, number>;

/** Nothing that a peer said is in it. */
export function sharedBy({ exports }: Registry): Shared {
  const domain = [...exports.facts.entries()][0]?.[1].domain ?? "";
  return new Map(
    Array.from(exports.services.entries(), ([, { name, namespace, ready }]) => [
      globalHostname(name, namespace, domain),
      ready,
    ]),
  );
}

/** Where what a client holds differs from what the clusters share together, in sentences; none if it does not. */
export function differences(held: readonly GlobalService[], shared: ReadonlyMap<string, Shared>): readonly string[] {
  const hosts = [...new Set([...shared.values()].flatMap((one) => [...one.keys()]))].sort();
  const found = new Map(held.map((service) => [service.host, service]));
  const missing = hosts.flatMap((host) => {
    const service = found.get(host);
    if (service === undefined) return [`${host} is missing`];
    const wrong = [...shared].flatMap(([cluster, one]) => {
      const [wanted, has] = [one.get(host) ?? 0, service.endpoints[cluster] ?? 0];
      return wanted === has ? [] : [`${host} has ${has} endpoints in ${cluster}, and should have ${wanted}`];
    });
    const strays = Object.entries(service.endpoints).filter(([cluster]) => !shared.has(cluster));
    return [
      ...wrong,
      ...strays.map(([cluster, has]) => `${host} has ${has} endpoints in ${cluster}, where nobody shares it`),
    ];
  });
  const surplus = held
    .filter(({ host }) => !hosts.includes(host))
    .map(({ host }) => `${host} is there, and nobody shares it`);
  return [...missing, ...surplus];
}
