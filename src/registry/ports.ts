import type { ServicePort } from "./kube/service.ts";
import type { Port } from "./model/address.ts";

type NamedPorts = ReadonlyMap<string, number>;

/** Which rules a service's ports follow on its endpoints (contract ztunnel.md 5.2 and 5.3). */
export type PortRules = "service" | "service-entry";

/** The ports of a service on a pod; one whose named target the pod does not have is left out. */
export function portsOnPod(ports: readonly ServicePort[], rules: PortRules, containers: NamedPorts): readonly Port[] {
  return resolved(ports, ({ port, targetPort, name }) => {
    if (rules === "service-entry") return containers.get(name) ?? numeric(targetPort) ?? port;
    return typeof targetPort === "string" ? containers.get(targetPort) : (targetPort ?? port);
  });
}

/** The ports of a service on an endpoint that says itself which of its ports is which. */
export function portsOnEntry(ports: readonly ServicePort[], rules: PortRules, own: NamedPorts): readonly Port[] {
  return resolved(ports, ({ port, targetPort, name }) => {
    if (rules === "service" && typeof targetPort === "string") return own.get(targetPort);
    return own.get(name) ?? numeric(targetPort) ?? port;
  });
}

/** The ports of a service on an endpoint of a slice, which are joined by name. */
export function portsOnSlice(ports: readonly ServicePort[], slice: NamedPorts): readonly Port[] {
  return resolved(ports, ({ name }) => slice.get(name));
}

/** The ports as the service itself offers them: 0 where each endpoint has its own. */
export function servicePorts(ports: readonly ServicePort[]): readonly Port[] {
  return resolved(ports, ({ port, targetPort }) => (typeof targetPort === "string" ? 0 : (targetPort ?? port)));
}

const numeric = (port: number | string | undefined): number | undefined =>
  typeof port === "number" ? port : undefined;

/** One port number may be offered over TCP and UDP; ztunnel knows it once, and TCP is what it carries. */
function resolved(ports: readonly ServicePort[], targetOf: (port: ServicePort) => number | undefined): readonly Port[] {
  const found = new Map<number, Port>();
  for (const tcp of [true, false])
    for (const port of ports) {
      if ((port.protocol !== "UDP") !== tcp || found.has(port.port)) continue;
      const targetPort = targetOf(port);
      if (targetPort !== undefined) found.set(port.port, { servicePort: port.port, targetPort });
    }
  return [...found.values()];
}
