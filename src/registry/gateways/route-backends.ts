import { objectKey, serviceName, type ObjectKey } from "../../names.ts";
import type { ReferenceGrant } from "../kube/reference-grant.ts";
import type { BackendTarget, Route } from "../kube/route.ts";
import type { KubeService } from "../kube/service.ts";
import { backendName, type BackendName } from "../model/proxy-backend.ts";
import type { Service } from "../model/service.ts";
import { kubeHostname } from "../service-offers.ts";
import type { RouteOptions } from "./route-parents.ts";

export interface BackendReads {
  readonly kubeServices: { get(key: ObjectKey): KubeService | undefined };
  /** By host name. */
  readonly hosts: { get(host: string): readonly Service[] };
  /** By `cluster/namespace` of what they let others refer to. */
  readonly grants: { get(home: string): readonly ReferenceGrant[] };
}

/** As the Gateway API calls it. */
export type RefReason = "BackendNotFound" | "InvalidKind" | "RefNotPermitted";

export type ResolvedBackend =
  | { readonly backend: BackendName }
  /** `message` is a sentence. */
  | { readonly backend: "refused"; readonly reason: RefReason; readonly message: string };

export const grantHome = ({ id }: ReferenceGrant): string => `${id.cluster}/${id.namespace}`;

/** Where a route's reference leads to. */
export function resolveBackend(
  route: Route,
  target: BackendTarget,
  reads: BackendReads,
  options: RouteOptions,
): ResolvedBackend {
  const refuse: Refuse = (reason, message) => ({
    backend: "refused",
    reason,
    message: `${target.field} names ${target.kind} ${target.name.slice(0, 253)}, which ${message}.`,
  });
  switch (`${target.group}/${target.kind}`) {
    case "/Service":
      return serviceBackend(route, target, reads, options, refuse);
    case "networking.istio.io/Hostname":
      return hostBackend(route, target, reads, options, refuse);
    default:
      return refuse("InvalidKind", "cannot be sent to; use a Service, or a Hostname of group networking.istio.io");
  }
}

type Refuse = (reason: RefReason, message: string) => ResolvedBackend;

function serviceBackend(
  route: Route,
  { namespace, name, port }: BackendTarget,
  reads: BackendReads,
  { mesh }: RouteOptions,
  refuse: Refuse,
): ResolvedBackend {
  if (!isGranted(route, namespace, name, reads)) return refuse("RefNotPermitted", notGranted(route, namespace));
  const service = reads.kubeServices.get(objectKey(route.id.cluster, namespace, name));
  if (service === undefined) return refuse("BackendNotFound", `does not exist in namespace ${namespace}`);
  if (service.external) return refuse("BackendNotFound", "is only another name of a host; use kind Hostname");
  const ports = service.ports.filter(({ protocol }) => protocol !== "UDP").map((each) => each.port);
  if (port === undefined || !ports.includes(port)) return refuse("BackendNotFound", noPort(port, ports));
  return { backend: backendName(serviceName(namespace, kubeHostname(service, mesh.clusterDomain)), port) };
}

/** A global name was given to all; one of a single cluster's Service is that Service's to give. */
function hostBackend(
  route: Route,
  { namespace, name, port }: BackendTarget,
  reads: BackendReads,
  { mesh }: RouteOptions,
  refuse: Refuse,
): ResolvedBackend {
  if (namespace !== route.id.namespace) return refuse("InvalidKind", "must have no namespace: a host name is in none");
  const found = reads.hosts.get(name.toLowerCase());
  const service =
    found.find((each) => each.namespace === namespace) ?? found.find(({ canonical }) => canonical) ?? found[0];
  if (service === undefined) return refuse("BackendNotFound", "is no host of the mesh");
  const isPlain = service.hostname.endsWith(`.svc.${mesh.clusterDomain}`);
  if (isPlain && !isGranted(route, service.namespace, service.name, reads))
    return refuse("RefNotPermitted", notGranted(route, service.namespace));
  const ports = service.ports.map(({ servicePort }) => servicePort);
  if (port === undefined || !ports.includes(port)) return refuse("BackendNotFound", noPort(port, ports));
  return { backend: backendName(service.key, port) };
}

function isGranted({ kind, id }: Route, namespace: string, name: string, { grants }: BackendReads): boolean {
  if (namespace === id.namespace) return true;
  return grants
    .get(`${id.cluster}/${namespace}`)
    .some(
      ({ from, to }) =>
        from.some(
          (each) => each.group === "gateway.networking.k8s.io" && each.kind === kind && each.namespace === id.namespace,
        ) &&
        to.some(
          (each) => each.group === "" && each.kind === "Service" && (each.name === undefined || each.name === name),
        ),
    );
}

const notGranted = ({ kind, id }: Route, namespace: string): string =>
  `is in namespace ${namespace}, where no ReferenceGrant permits it to the ${kind}s of namespace ${id.namespace}`;

const noPort = (port: number | undefined, ports: readonly number[]): string =>
  `${port === undefined ? "needs a port" : `has no port ${port}`}; it has ${ports.slice(0, 10).join(", ") || "none"}`;
