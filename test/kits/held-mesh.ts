import { istio } from "../../proto/gen/mesh.js";
import { networkId, type Hostname, type NetworkId, type ServiceName } from "../../src/names.ts";
import type { GatewayAddress } from "../../src/registry/model/address.ts";
import type { LoadBalancingScope, Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { decodeWorkload } from "../../src/xds/types/decoded-workload.ts";
import { ipText } from "../../src/xds/types/ip-field.ts";
import type { Held } from "./ztunnel-choice.ts";

const wds = istio.workload;

/** Workloads and services as they came over a wire, as a ztunnel holds them. */
export class HeldMesh implements Held {
  readonly workloads = new Map<string, Workload>();
  readonly services = new Map<string, Service>();
  /** Names, as they were removed. */
  readonly removed: string[] = [];

  /** Takes one update of the address type. */
  take(resources: readonly { readonly name: string; readonly body: Uint8Array }[], removed: readonly string[]): void {
    for (const { name, body } of resources) {
      const { service } = wds.Address.decode(body);
      if (service instanceof wds.Service) this.services.set(name, toService(name, service));
      else this.workloads.set(name, decodeWorkload(body));
    }
    for (const name of removed) for (const held of [this.services, this.workloads]) held.delete(name);
    this.removed.push(...removed);
  }

  /** By host, whatever its namespace. */
  service(host: string): Service | undefined {
    return [...this.services.values()].find(({ hostname }) => hostname === host);
  }

  readonly workloadsByService = {
    get: (key: string): readonly Workload[] =>
      [...this.workloads.values()].filter(({ services }) => services.some(({ service }) => service === key)),
  };
}

const MODES = new Map<number, "unspecified" | "strict" | "failover" | "passthrough">([
  [wds.LoadBalancing.Mode.STRICT, "strict"],
  [wds.LoadBalancing.Mode.FAILOVER, "failover"],
  [wds.LoadBalancing.Mode.PASSTHROUGH, "passthrough"],
]);

function toService(name: string, message: istio.workload.Service): Service {
  const { loadBalancing, waypoint } = message;
  const allowAll = wds.LoadBalancing.HealthPolicy.ALLOW_ALL;
  return {
    key: name as ServiceName,
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname as Hostname,
    addresses: message.addresses.map(({ network, address }) => ({
      network: (network ?? "") as NetworkId,
      ip: ipText(address ?? new Uint8Array())!,
    })),
    ports: message.ports.map(({ servicePort, targetPort }) => ({
      servicePort: servicePort ?? 0,
      targetPort: targetPort ?? 0,
    })),
    subjectAltNames: message.subjectAltNames,
    waypoint: waypoint ? toGateway(waypoint) : undefined,
    loadBalancing: loadBalancing
      ? {
          mode: MODES.get(loadBalancing.mode ?? 0) ?? "unspecified",
          preference: (loadBalancing.routingPreference ?? []).map(
            (scope) => wds.LoadBalancing.Scope[scope]!.toLowerCase() as LoadBalancingScope,
          ),
          healthPolicy: loadBalancing.healthPolicy === allowAll ? "allow-all" : "only-healthy",
        }
      : undefined,
    ipFamilies: "automatic",
    canonical: message.canonical,
  };
}

function toGateway({ hostname, address, hboneMtlsPort }: istio.workload.IGatewayAddress): GatewayAddress {
  const hbonePort = hboneMtlsPort ?? 0;
  if (hostname) {
    const { namespace, hostname: host } = hostname;
    return {
      destination: { kind: "hostname", namespace: namespace ?? "", hostname: (host ?? "") as Hostname },
      hbonePort,
    };
  }
  const { network, address: bytes } = address ?? {};
  const at = { network: networkId(network ?? ""), ip: ipText(bytes ?? new Uint8Array()) ?? "" };
  return { destination: { kind: "address", address: at }, hbonePort };
}
