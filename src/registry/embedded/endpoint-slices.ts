import { isIPv6 } from "node:net";
import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import { namespaceOf } from "./declared.ts";
import { fieldsOf, isFields, type Labels, labelsOf, listOf, textOf } from "./fields.ts";
import { nameSuffix, objectUid } from "./object-uid.ts";
import { controllerReference } from "./pod-drafts.ts";
import { isReady, statedPodAddress } from "./pods.ts";

/** As many as the API allows in one slice. */
const ENDPOINTS_MAX = 1000;

/** Empty for a Service whose endpoints are stated by hand. */
export const selectorOf = (service: KubeObject): Labels => labelsOf(fieldsOf(service["spec"])["selector"]);

/**
 * The slices of a Service with a selector. Pods that resolve a named port differently are in slices of their own.
 * @param pods those it selects, with an address and not ended.
 */
export function endpointSlicesOf(cluster: ClusterId, service: KubeObject, pods: readonly KubeObject[]): KubeObject[] {
  const byPorts = new Map<string, { ports: readonly object[]; family: string; pods: KubeObject[] }>();
  for (const pod of pods) {
    const ports = slicePorts(service, pod);
    const family = isIPv6(statedPodAddress(pod)) ? "IPv6" : "IPv4";
    const same = `${family} ${JSON.stringify(ports)}`;
    const group = byPorts.get(same);
    if (group) group.pods.push(pod);
    else byPorts.set(same, { ports, family, pods: [pod] });
  }
  const always = fieldsOf(service["spec"])["publishNotReadyAddresses"] === true;
  return [...byPorts].flatMap(([same, { ports, family, pods: group }]) =>
    chunks(group, ENDPOINTS_MAX).map((chunk, at) => ({
      ...sliceShell(cluster, service, nameSuffix(`${namespaceOf(service)}/${same}/${at}`, 5), CONTROLLER),
      addressType: family,
      endpoints: chunk.map((pod) => endpointOf(pod, always)),
      ports,
    })),
  );
}

const CONTROLLER = "endpointslice-controller.k8s.io";
const MIRROR = "endpointslicemirroring-controller.k8s.io";

/** The slices that mirror an Endpoints object, which is the older way to state endpoints by hand. */
export function mirroredSlices(cluster: ClusterId, endpoints: KubeObject): KubeObject[] {
  return listOf(endpoints["subsets"])
    .filter(isFields)
    .map((subset, at) => {
      const ready = listOf(subset["addresses"]).map((address) => mirroredEndpoint(address, true));
      const unready = listOf(subset["notReadyAddresses"]).map((address) => mirroredEndpoint(address, false));
      const all = [...ready, ...unready];
      return {
        ...sliceShell(cluster, endpoints, nameSuffix(`${namespaceOf(endpoints)}/mirror/${at}`, 5), MIRROR),
        addressType: isIPv6(all[0]?.addresses[0] ?? "") ? "IPv6" : "IPv4",
        endpoints: all,
        ports: listOf(subset["ports"]),
      };
    });
}

function mirroredEndpoint(address: unknown, ready: boolean) {
  const { ip, nodeName, targetRef, hostname } = fieldsOf(address);
  return {
    addresses: [textOf(ip)],
    conditions: { ready },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(hostname === undefined ? {} : { hostname }),
  };
}

function sliceShell(cluster: ClusterId, owner: KubeObject, suffix: string, manager: string): KubeObject {
  const namespace = namespaceOf(owner);
  const name = `${owner.metadata.name}-${suffix}`;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name,
      namespace,
      uid: objectUid(cluster, "EndpointSlice", namespace, name),
      labels: {
        ...owner.metadata.labels,
        "kubernetes.io/service-name": owner.metadata.name,
        "endpointslice.kubernetes.io/managed-by": manager,
      },
      ownerReferences: [controllerReference(owner)],
    },
  };
}

function endpointOf(pod: KubeObject, always: boolean): object {
  const { name, namespace, uid } = pod.metadata;
  const ready = isReady(pod);
  return {
    addresses: [statedPodAddress(pod)],
    conditions: { ready: always || ready, serving: ready, terminating: false },
    nodeName: textOf(fieldsOf(pod["spec"])["nodeName"]),
    targetRef: { kind: "Pod", namespace, name, uid },
  };
}

function slicePorts(service: KubeObject, pod: KubeObject): object[] {
  return listOf(fieldsOf(service["spec"])["ports"])
    .filter(isFields)
    .flatMap(({ name, port, protocol, appProtocol, targetPort = port }) => {
      const number = typeof targetPort === "string" ? containerPort(pod, targetPort) : targetPort;
      if (number === undefined) return [];
      return [
        { name: textOf(name), port: number, protocol: protocol ?? "TCP", ...(appProtocol ? { appProtocol } : {}) },
      ];
    });
}

function containerPort(pod: KubeObject, name: string): unknown {
  const { containers, initContainers } = fieldsOf(pod["spec"]);
  // An init container that always restarts is a sidecar, and serves like any other.
  const sidecars = listOf(initContainers).filter((container) => fieldsOf(container)["restartPolicy"] === "Always");
  const ports = [...listOf(containers), ...sidecars].flatMap((container) => listOf(fieldsOf(container)["ports"]));
  return ports.filter(isFields).find((port) => port["name"] === name)?.["containerPort"];
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));
}
