import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import { admit, namespaceOf } from "./declared.ts";
import { fieldsOf, isFields, type Labels, labelsOf, listOf, textOf } from "./fields.ts";
import { controllerReference } from "./pod-drafts.ts";

/** The Gateways that a mesh deploys by itself, by class, and the name of the controller that does. */
const MANAGED_CLASSES: Readonly<Record<string, string>> = {
  "istio-waypoint": "istio.io-mesh-controller",
  "istio-eastwest": "istio.io-eastwest-controller",
  "istio-east-west": "istio.io-eastwest-controller",
};

/** Where HBONE is spoken; without it on the Service, no client can use a waypoint (contract ztunnel.md 7, pitfall 29). */
const HBONE_PORT = 15008;

/**
 * What the gateway controller makes of a Gateway of one of our classes: its service account, its Deployment of one pod,
 * its Service, and the Gateway itself with an address.
 * @returns undefined for other classes and for a Gateway that states its addresses.
 */
export function deployGateway(
  cluster: ClusterId,
  gateway: KubeObject,
  clusterDomain: string,
): readonly KubeObject[] | undefined {
  const spec = fieldsOf(gateway["spec"]);
  const status = fieldsOf(gateway["status"]);
  const className = textOf(spec["gatewayClassName"]);
  if (!Object.hasOwn(MANAGED_CLASSES, className) || listOf(status["addresses"]).length > 0) return undefined;
  const { name } = gateway.metadata;
  const namespace = namespaceOf(gateway);
  const own = { "gateway.networking.k8s.io/gateway-name": name };
  const labels = { ...gateway.metadata.labels, ...own, "gateway.istio.io/managed": MANAGED_CLASSES[className]! };
  const metadata = { name, namespace, labels, ownerReferences: [controllerReference(gateway)] };
  const make = (apiVersion: string, kind: string, rest: object): KubeObject =>
    admit(cluster, { apiVersion, kind, metadata, ...rest });
  // One that asks for addresses gets them, as from a load balancer.
  const asked = listOf(spec["addresses"]).filter((item) => textOf(fieldsOf(item)["value"]) !== "");
  const address = { type: "Hostname", value: `${name}.${namespace}.svc.${clusterDomain}` };
  const addresses = asked.length > 0 ? asked : [address];
  return [
    { ...gateway, status: { conditions: ACCEPTED, ...status, addresses } },
    make("v1", "ServiceAccount", {}),
    make("v1", "Service", { spec: serviceSpec(className, listOf(spec["listeners"]), own) }),
    make("apps/v1", "Deployment", { spec: deploymentSpec(name, labels, own, fieldsOf(spec["infrastructure"])) }),
  ];
}

const ACCEPTED = [
  { type: "Accepted", status: "True", reason: "Accepted" },
  { type: "Programmed", status: "True", reason: "Programmed" },
];

function serviceSpec(className: string, listeners: readonly unknown[], selector: Labels): object {
  const ports = new Map<number, object>([[15021, { name: "status-port", port: 15021, protocol: "TCP" }]]);
  for (const listener of listeners.filter(isFields)) {
    const { name, port } = listener;
    if (typeof port === "number" && !ports.has(port))
      ports.set(port, { name: textOf(name) || `port-${port}`, port, protocol: "TCP" });
  }
  if (!ports.has(HBONE_PORT)) ports.set(HBONE_PORT, { name: "mesh", port: HBONE_PORT, protocol: "TCP" });
  return {
    type: className === "istio-waypoint" ? "ClusterIP" : "LoadBalancer",
    selector,
    ports: [...ports.values()],
  };
}

function deploymentSpec(name: string, labels: Labels, selector: Labels, infrastructure: object): object {
  const { labels: more, annotations } = infrastructure as { labels?: unknown; annotations?: unknown };
  return {
    replicas: 1,
    selector: { matchLabels: selector },
    template: {
      metadata: {
        labels: {
          ...labelsOf(more),
          ...labels,
          // It ends HBONE tunnels itself, so its node's ztunnel stays out of the way (contract 5.2, native_tunnel).
          "networking.istio.io/tunnel": "http",
          "istio.io/dataplane-mode": "none",
          "service.istio.io/canonical-name": name,
          "service.istio.io/canonical-revision": "latest",
        },
        annotations: labelsOf(annotations),
      },
      spec: {
        serviceAccountName: name,
        containers: [{ name: "istio-proxy", ports: [{ name: "mesh", containerPort: HBONE_PORT, protocol: "TCP" }] }],
      },
    },
  };
}
