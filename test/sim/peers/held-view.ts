import { isIP } from "node:net";
import type { Client, HeldWorkload } from "./client.ts";
import { type ModelWorld, podIp } from "./model.ts";
import type { View, ViewedEndpoint, ViewedService } from "./oracle.ts";

/** What a client holds, in the words of the oracle. */
export function heldBy({ state }: Client, world: ModelWorld): View {
  const endpoints: Record<string, ViewedEndpoint> = {};
  const nameOfUid = new Map<string, string>();
  for (const [uid, { value }] of state.workloads) {
    const name = nameFor(value, world);
    nameOfUid.set(uid, name);
    const known = endpoints[name];
    endpoints[name] = known === undefined ? endpointOf(value) : together(known, endpointOf(value));
  }
  const services: Record<string, ViewedService> = {};
  for (const [name, { sent, endpoints: uids }] of state.services) {
    const { ports, subjectAltNames, waypoint } = sent.value.said;
    services[name] = {
      ports: (ports ?? []).map(({ servicePort }) => servicePort ?? 0).sort((a, b) => a - b),
      identities: [...(subjectAltNames ?? [])].sort(),
      waypoint: waypoint?.address ? ipOf(waypoint.address.address) : undefined,
      endpoints: [...new Set([...uids].map((uid) => nameOfUid.get(uid) ?? uid))].sort(),
    };
  }
  return { services, endpoints };
}

/** The virtual addresses of each service, as `network/ip`. */
export function addressesOf({ state }: Client): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...state.services].map(([name, { sent }]) => [
      name,
      (sent.value.said.addresses ?? []).map(({ network, address }) => `${network}/${ipOf(address)}`).sort(),
    ]),
  );
}

/** As the oracle calls it: what stands for others by whose and what they are, all else by address. */
export function nameFor({ said }: Pick<HeldWorkload, "said">, world: ModelWorld): string {
  const [, peer, namespace, service] = /^autogen\.([^.]+)\.([^.]+)\.([^.]+)$/.exec(said.name ?? "") ?? [];
  if (service !== undefined) return `all of ${peer}/${namespace}/${service}`;
  const [ip = ""] = (said.addresses ?? []).map(ipOf);
  if (ip.startsWith("192.0.2.")) return `gateway ${said.network}/${ip}`;
  const cluster = world.get(said.clusterId ?? "");
  const pod = cluster && [...cluster.pods.keys(), ...ALL_PODS].find((key) => podIp(cluster, key) === ip);
  return pod === undefined ? `${said.uid} at ${ip}` : `pod ${said.clusterId}/${pod}`;
}

/** Pods may be gone from the model that a client still holds. */
const ALL_PODS = ["shop", "bank"].flatMap((namespace) => Array.from({ length: 10 }, (_, at) => `${namespace}/p${at}`));

function endpointOf({ said, healthy, services }: HeldWorkload): ViewedEndpoint {
  const standsForMany = (said.name ?? "").startsWith("autogen.");
  const { trustDomain, namespace, serviceAccount } = said;
  return {
    network: said.network ?? "",
    healthy,
    ready: standsForMany ? (healthy ? (said.capacity?.value ?? 1) : 0) : undefined,
    services: services
      .flatMap((name) =>
        (said.services?.[name]?.ports ?? []).map(
          ({ servicePort, targetPort }) => `${name} ${servicePort}>${targetPort}`,
        ),
      )
      .sort(),
    identity: standsForMany ? "" : `spiffe://${trustDomain || "cluster.local"}/ns/${namespace}/sa/${serviceAccount}`,
  };
}

/** Two that stand for parts of the same: they have all of it together. */
const together = (one: ViewedEndpoint, another: ViewedEndpoint): ViewedEndpoint => ({
  ...one,
  healthy: one.healthy || another.healthy,
  ready: (one.ready ?? 0) + (another.ready ?? 0),
});

function ipOf(bytes: Uint8Array | null | undefined): string {
  const text = [...(bytes ?? [])].join(".");
  return isIP(text) === 4 ? text : Buffer.from(bytes ?? []).toString("hex");
}
