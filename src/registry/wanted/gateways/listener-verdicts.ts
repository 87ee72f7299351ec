import { EXPOSE_ISTIOD } from "../../kube/gateway-deployment.ts";
import type { KubeGateway, Listener } from "../../kube/gateway.ts";
import type { DeployedKind } from "../../kube/known-classes.ts";
import { HBONE_PORT } from "../../network-gateways.ts";

export type ProxyKind = Exclude<DeployedKind, "remote">;

/** What becomes of one listener of a Gateway that we deploy. */
export interface ListenerVerdict {
  readonly name: string;
  readonly port: number;
  /** Undefined if it is not served. */
  readonly serves: "hbone" | "control-plane" | undefined;
  /** Why it is not, by a reason of the Gateway API. */
  readonly refused?: { readonly reason: ListenerReason; readonly message: string };
}

export type ListenerReason = "PortUnavailable" | "UnsupportedProtocol" | "ProtocolConflict" | "HostnameConflict";

/** Of two that contradict each other. */
export const isConflict = (reason: ListenerReason): boolean => /Conflict$/.test(reason);

/** What listens in every pod besides. */
const TAKEN: Readonly<Record<number, string>> = {
  15000: "Envoy's administration",
  15020: "metrics of the agent",
  15021: "readiness",
  15090: "metrics of Envoy",
};

/** Listeners that serve, and why the others do not; of two that contradict each other the first serves. */
export function listenerVerdicts(gateway: KubeGateway, kind: ProxyKind): readonly ListenerVerdict[] {
  const verdicts: ListenerVerdict[] = [];
  for (const listener of gateway.listeners) {
    const serving = verdicts.filter(({ serves }) => serves !== undefined);
    const { name, port } = listener;
    const judged = conflictOf(listener, serving, gateway) ?? useOf(listener, gateway, kind);
    verdicts.push(typeof judged === "string" ? { name, port, serves: judged } : { name, port, ...judged });
  }
  return verdicts;
}

type Refusal = Pick<Required<ListenerVerdict>, "refused"> & { readonly serves: undefined };
const refusal = (reason: ListenerReason, message: string): Refusal => ({
  serves: undefined,
  refused: { reason, message },
});

function conflictOf(
  { port, protocol }: Listener,
  serving: readonly ListenerVerdict[],
  { listeners }: KubeGateway,
): Refusal | undefined {
  const same = serving.find((other) => other.port === port);
  if (same !== undefined) {
    const before = listeners.find(({ name }) => name === same.name);
    const reason = before?.protocol === protocol ? "HostnameConflict" : "ProtocolConflict";
    return refusal(reason, `Port ${port} is that of listener ${same.name}; give this one another, or remove it.`);
  }
  const hbone = protocol === "HBONE" ? serving.find(({ serves }) => serves === "hbone") : undefined;
  if (hbone === undefined) return undefined;
  return refusal(
    "HostnameConflict",
    `Listener ${hbone.name} takes HBONE already, and a Gateway has one such; remove one of the two.`,
  );
}

function useOf(
  { port, protocol, terminates }: Listener,
  { deployment }: KubeGateway,
  kind: ProxyKind,
): "hbone" | "control-plane" | Refusal {
  if (Object.hasOwn(TAKEN, port))
    return refusal("PortUnavailable", `Port ${port} of each pod is for ${TAKEN[port]}; choose another.`);
  if (protocol === "HBONE") {
    if (kind === "east-west" || port === HBONE_PORT) return "hbone";
    return refusal("PortUnavailable", `ztunnels send to waypoints at port ${HBONE_PORT}; make it that one.`);
  }
  if (kind === "waypoint" || protocol !== "TLS")
    return refusal(
      "UnsupportedProtocol",
      `Protocol ${protocol} is not served; ${kind === "waypoint" ? "a waypoint has HBONE only" : "use HBONE, or TLS for the control plane"}.`,
    );
  if (terminates)
    return refusal("UnsupportedProtocol", "TLS is passed on to the control plane as it is; make tls.mode Passthrough.");
  if (deployment.exposedPort !== `${port}`)
    return refusal(
      "UnsupportedProtocol",
      `Its TLS leads nowhere; label the Gateway ${EXPOSE_ISTIOD}: "${port}" to have it lead to the control plane.`,
    );
  return "control-plane";
}
