import type { NetworkId } from "../../src/names.ts";
import type { GatewayAddress } from "../../src/registry/model/address.ts";
import type { Policy } from "../../src/registry/model/policy.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { authorityOf } from "./hbone.ts";
import type { HeldMesh } from "./held-mesh.ts";
import { choices, gatewaysAt } from "./ztunnel-choice.ts";
import { admitted } from "./ztunnel-verdict.ts";

/** Where ztunnel dials, and what the tunnel names. */
export interface Way {
  readonly ip: string;
  readonly port: number;
  readonly expected: readonly string[];
  readonly authority: string;
  /** The tunnel within, to another network. */
  readonly inner?: { readonly expected: readonly string[]; readonly headers: Readonly<Record<string, string>> };
}

/** The pod that a ztunnel is for. */
export interface OwnPod {
  readonly address: string;
  readonly network: NetworkId;
  readonly cluster: string;
}

const identityOf = ({ trustDomain, namespace, serviceAccount }: Workload): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount || "default"}`;

const pick = <V>(all: readonly V[], share: (one: V) => number): V | undefined => {
  let left = Math.random() * all.reduce((sum, one) => sum + share(one), 0);
  return all.find((one) => (left -= share(one)) <= 0) ?? all.at(-1);
};

/**
 * Where a call to a service goes: to its waypoint, if it has one, else to an endpoint (contract ztunnel.md 6.2, 6.4).
 * @throws with what a ztunnel's log would say.
 */
export function wayTo(mesh: HeldMesh, own: OwnPod, host: string, port: number): Way {
  const service = mesh.service(host);
  if (service === undefined) throw new Error(`unknown host ${host}`);
  if (service.waypoint !== undefined) return wayToWaypoint(mesh, own, service, service.waypoint, port);
  const choice = pick(choices(mesh, service, port, own), ({ share }) => share);
  if (choice === undefined) throw new Error("no healthy upstream");
  const { workload, targetPort } = choice;
  if (workload.network !== own.network) return wayThroughGateway(mesh, own, service, workload, port);
  const [ip] = workload.addresses;
  return { ip: ip!, port: 15_008, expected: [identityOf(workload)], authority: authorityOf(ip!, targetPort) };
}

function wayToWaypoint(mesh: HeldMesh, own: OwnPod, service: Service, waypoint: GatewayAddress, port: number): Way {
  const address = service.addresses.find(({ network }) => network === own.network);
  const found = gatewaysAt(mesh, waypoint).filter(({ healthy, addresses }) => healthy && addresses.length > 0);
  const proxy = pick(found, ({ capacity }) => capacity ?? 1);
  if (proxy === undefined || address === undefined) throw new Error(`no healthy waypoint for ${service.hostname}`);
  const authority = authorityOf(address.ip, port);
  return { ip: proxy.addresses[0]!, port: waypoint.hbonePort, expected: [identityOf(proxy)], authority };
}

function wayThroughGateway(mesh: HeldMesh, own: OwnPod, service: Service, remote: Workload, port: number): Way {
  const { networkGateway } = remote;
  if (networkGateway === undefined) throw new Error("no valid routing destination");
  const gateway = pick(gatewaysAt(mesh, networkGateway), () => 1);
  if (gateway === undefined) throw new Error("unknown network gateway");
  const bound = gateway.services.flatMap(({ ports }) => ports);
  const mapped = bound.find(({ servicePort }) => servicePort === networkGateway.hbonePort)?.targetPort;
  return {
    ip: gateway.addresses[0]!,
    port: mapped ?? networkGateway.hbonePort,
    expected: [identityOf(gateway)],
    authority: authorityOf(service.hostname, port),
    inner: { expected: service.subjectAltNames, headers: { "x-forwarded-network": own.network } },
  };
}

/** What ztunnel answers to a tunnel that comes in: the port of the application, or a status (contract ztunnel.md 6.3, 6.7). */
export function admitTunnel(
  mesh: HeldMesh,
  policies: Iterable<Policy>,
  own: OwnPod,
  { authority, peer }: { readonly authority: string; readonly peer: string },
): { readonly port: number } | { readonly status: number } {
  const at = authority.lastIndexOf(":");
  const [host, asked] = [authority.slice(0, at), Number(authority.slice(at + 1))];
  const workload = [...mesh.workloads.values()].find(
    ({ network, addresses }) => network === own.network && addresses.includes(own.address),
  );
  if (workload === undefined) return { status: 503 };
  const port = /^[\d.]+$|:/.test(host)
    ? host === own.address
      ? asked
      : undefined
    : boundPort(mesh, workload, host, asked);
  if (port === undefined) return { status: /^[\d.]+$/.test(host) ? 400 : 503 };
  const principal = peer.replace("spiffe://", "");
  return admitted(policies, { to: workload, port, principal }) ? { port } : { status: 401 };
}

function boundPort(mesh: HeldMesh, workload: Workload, host: string, port: number): number | undefined {
  const service = mesh.service(host);
  const binding = workload.services.find(({ service: name }) => name === service?.key);
  const own = binding?.ports.find(({ servicePort }) => servicePort === port)?.targetPort;
  return own || service?.ports.find(({ servicePort }) => servicePort === port)?.targetPort || undefined;
}
