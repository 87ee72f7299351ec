import type { KubeObject, ObjectReference } from "../../kube/object.ts";
import { isFields } from "./fields.ts";
import { isAliasPart } from "./peering-annotations.ts";

/** What is kept of a value: itself if it is a scalar, these fields of a map, all fields of a map or some, all items of a list. */
type Shape =
  | "scalar"
  | { readonly fields: Readonly<Record<string, Shape>> }
  | { readonly all: Shape; readonly where?: (key: string, value: unknown) => boolean }
  | { readonly each: Shape };

const scalars = (...names: readonly string[]): Readonly<Record<string, Shape>> =>
  Object.fromEntries(names.map((name) => [name, "scalar"]));
const fields = (of: Readonly<Record<string, Shape>>): Shape => ({ fields: of });
const each = (item: Shape): Shape => ({ each: item });
const MAP: Shape = { all: "scalar" };
const LIST = each("scalar");

const ANNOTATIONS: readonly string[] = [
  "ambient.istio.io/redirection",
  "ambient.istio.io/waypoint-inbound-binding",
  "gateway.istio.io/service-account",
  "gateways.causeway.dev/node-ports",
  "gateway.istio.io/trust-domain",
  "networking.istio.io/service-type",
  "networking.istio.io/traffic-distribution",
  "peering.solo.io/data-plane-service-type",
  "peering.solo.io/preferred-data-plane-service-type",
  "peering.causeway.dev/waypoint-policy",
  "peering.causeway.dev/drain-until",
];
const METADATA_FIELDS = {
  ...scalars("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generateName"),
  labels: MAP,
  // Others can hold anything, as what `kubectl apply` was given last.
  annotations: fields(scalars(...ANNOTATIONS)),
  ownerReferences: each(fields(scalars("kind", "name", "controller"))),
};
const METADATA = fields(METADATA_FIELDS);
/** With the annotations that a Service's aliases may be made of. */
const SERVICE_METADATA = fields({
  ...METADATA_FIELDS,
  annotations: { all: "scalar", where: (key, value) => ANNOTATIONS.includes(key) || isAliasPart(key, value) },
});

const CONTAINERS = each(
  fields({ ...scalars("restartPolicy"), ports: each(fields(scalars("name", "protocol", "containerPort"))) }),
);
const GATEWAY_HOSTS = each(fields(scalars("type", "value")));
const LABEL_SELECTOR = fields({
  matchLabels: MAP,
  matchExpressions: each(fields({ ...scalars("key", "operator"), values: LIST })),
});

/** What is read of another cluster, by group and kind. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  "/Namespace": {},
  "/Node": {
    spec: fields(scalars("unschedulable")),
    status: fields({
      addresses: each(fields(scalars("type", "address"))),
      conditions: each(fields(scalars("type", "status"))),
    }),
  },
  "/Pod": {
    spec: fields({
      ...scalars("nodeName", "serviceAccountName", "hostNetwork"),
      containers: CONTAINERS,
      initContainers: CONTAINERS,
    }),
    status: fields({
      ...scalars("phase", "podIP"),
      podIPs: each(fields(scalars("ip"))),
      conditions: each(fields(scalars("type", "status"))),
    }),
  },
  "/Service": {
    metadata: SERVICE_METADATA,
    spec: fields({
      ...scalars(
        "type",
        "clusterIP",
        "internalTrafficPolicy",
        "trafficDistribution",
        "publishNotReadyAddresses",
        "externalTrafficPolicy",
      ),
      clusterIPs: LIST,
      ipFamilies: LIST,
      ports: each(fields(scalars("name", "port", "targetPort", "protocol", "appProtocol", "nodePort"))),
      selector: MAP,
    }),
  },
  "discovery.k8s.io/EndpointSlice": {
    addressType: "scalar",
    endpoints: each(
      fields({
        addresses: LIST,
        conditions: fields(scalars("ready")),
        targetRef: fields(scalars("kind", "namespace", "name", "uid")),
      }),
    ),
    ports: each(fields(scalars("name", "port", "protocol"))),
  },
  "gateway.networking.k8s.io/Gateway": {
    metadata: fields({ ...METADATA_FIELDS, generation: "scalar" }),
    spec: fields({
      gatewayClassName: "scalar",
      infrastructure: fields({
        labels: MAP,
        annotations: MAP,
        parametersRef: fields(scalars("group", "kind", "name")),
      }),
      addresses: GATEWAY_HOSTS,
      listeners: each(
        fields({
          ...scalars("name", "port", "protocol"),
          tls: fields(scalars("mode")),
          allowedRoutes: fields({ namespaces: fields({ from: "scalar", selector: LABEL_SELECTOR }) }),
        }),
      ),
    }),
    status: fields({ addresses: GATEWAY_HOSTS }),
  },
  "gateway.networking.k8s.io/GatewayClass": {},
};

/**
 * The object with nothing but what is read of it: so that what is written to disk is small, and never holds what an
 * object happens to carry, as the environment of a container. Reading it gives what reading the whole one gives, but
 * for the conditions in its status, which only count in our own cluster, where we write them.
 * @returns undefined for a kind that is not read of a remote cluster.
 */
export function prune(object: KubeObject): KubeObject | undefined {
  const group = groupOf(object.apiVersion);
  const shapes = typeof object.kind === "string" ? SHAPES[`${group}/${object.kind}`] : undefined;
  if (!shapes) return undefined;
  return pruned(object, fields({ ...scalars("apiVersion", "kind"), metadata: METADATA, ...shapes })) as KubeObject;
}

/** Which object it is, whatever version of its group it came in. */
export const pruneKey = ({ apiVersion, kind, metadata }: ObjectReference): string =>
  [groupOf(apiVersion), kind, metadata.namespace ?? "", metadata.name].join("/");

const groupOf = (apiVersion: string): string => /^(.*)\//.exec(apiVersion)?.[1] ?? "";

/** A value that is not of its shape keeps its kind, so that the error about it stays the same, and loses its content. */
function pruned(value: unknown, shape: Shape): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value))
    return typeof shape === "object" && "each" in shape ? value.map((item) => pruned(item, shape.each)) : [];
  if (!isFields(value) || shape === "scalar" || "each" in shape) return {};
  const entries = Object.entries(value);
  if ("all" in shape) {
    const kept = shape.where === undefined ? entries : entries.filter(([key, item]) => shape.where!(key, item));
    return Object.fromEntries(kept.map(([key, item]) => [key, pruned(item, shape.all)]));
  }
  return Object.fromEntries(
    entries.flatMap(([key, item]) => {
      const inner = Object.hasOwn(shape.fields, key) ? shape.fields[key] : undefined;
      return inner === undefined ? [] : [[key, pruned(item, inner)]];
    }),
  );
}
