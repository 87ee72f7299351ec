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
  /** Where clusters mean different protocols by one number; at most one for each member. */
  readonly conflicts: readonly PortConflict[];
}

interface Declaring {
  readonly cluster: string;
  readonly ports: readonly FederatedPort[];
}

/**
 * All ports by number; `members` begins with the one whose word counts where they differ. A port that not all of them
 * have is left to each endpoint: ztunnel would send to one that lacks it otherwise (contract ztunnel.md 6.2).
 */
export function mergedPorts(members: readonly Declaring[]): MergedPorts {
  const found = new Map<number, { readonly targetPort: number; protocol: string; count: number }>();
  const conflicts: PortConflict[] = [];
  for (const { cluster, ports } of members) {
    for (const { number, protocol, targetPort } of ports) {
      const port = found.get(number);
      if (port === undefined) {
        found.set(number, { targetPort, protocol: protocol, count: 1 });
        continue;
      }
      port.count += 1;
      if (port.protocol === "") port.protocol = protocol;
      else if (protocol !== "" && protocol !== port.protocol)
        conflicts.push({ cluster, number, protocol, counts: port.protocol });
    }
  }
  const ports = [...found]
    .sort(([a], [b]) => a - b)
    .map(([servicePort, { targetPort, count }]) => ({
      servicePort,
      targetPort: count === members.length ? targetPort : 0,
    }));
  return { ports, conflicts };
}
