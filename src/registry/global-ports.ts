import type { KubeService } from "./kube/service.ts";
import type { FederatedPort } from "./model/federated-service.ts";
import type { Port } from "./model/address.ts";
import { servicePorts } from "./ports.ts";
import { protocolHint } from "./protocol-hint.ts";

/** What ztunnel carries of a Service, by number, with the protocol that its port names say (contract peering.md 2.12). */
export function kubePorts({ ports }: Pick<KubeService, "ports">): readonly FederatedPort[] {
  const named = new Map(ports.filter(({ protocol }) => protocol !== "UDP").map((port) => [port.port, port]));
  return servicePorts(ports)
    .flatMap(({ servicePort, targetPort }): readonly FederatedPort[] => {
      const port = named.get(servicePort);
      return port ? [{ number: servicePort, name: port.name, protocol: protocolHint(port), targetPort }] : [];
    })
    .sort((a, b) => a.number - b.number);
}

export interface PortConflict {
  readonly cluster: string;
  readonly number: number;
  readonly protocol: string;
  readonly counts: string;
}

export interface MergedPorts {
  readonly ports: readonly Port[];
  /** Of each of them, as `HTTP`; empty if nobody says. */
  readonly protocols: readonly string[];
  /** Where clusters mean different protocols by one number. */
  readonly conflicts: readonly PortConflict[];
}

/** Clusters that have the same ports. */
interface Declaring {
  /** One of them. */
  readonly cluster: string;
  /** How many they are. */
  readonly size: number;
  readonly ports: readonly FederatedPort[];
}

/**
 * All ports by number; `groups` begins with the one whose word counts where they differ. A port that not all of them
 * have is left to each endpoint: ztunnel would send to one that lacks it otherwise (contract ztunnel.md 6.2).
 */
export function mergedPorts(groups: readonly Declaring[]): MergedPorts {
  const found = new Map<number, { readonly targetPort: number; protocol: string; count: number }>();
  const conflicts: PortConflict[] = [];
  for (const { cluster, size, ports } of groups) {
    for (const { number, protocol, targetPort } of ports) {
      const port = found.get(number);
      if (port === undefined) {
        found.set(number, { targetPort, protocol, count: size });
        continue;
      }
      port.count += size;
      if (port.protocol === "") port.protocol = protocol;
      else if (protocol !== "" && protocol !== port.protocol)
        conflicts.push({
          cluster: size === 1 ? cluster : `${cluster} and ${size - 1} more`,
          number,
          protocol,
          counts: port.protocol,
        });
    }
  }
  const all = groups.reduce((sum, { size }) => sum + size, 0);
  const sorted = [...found].sort(([a], [b]) => a - b);
  const ports = sorted.map(([servicePort, { targetPort, count }]) => ({
    servicePort,
    targetPort: count === all ? targetPort : 0,
  }));
  return { ports, protocols: sorted.map(([, { protocol }]) => protocol), conflicts };
}
