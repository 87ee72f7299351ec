import type { Config } from "../config.ts";
import { FACT_KINDS, isFact } from "../inspect/facts-kinds.ts";
import { reducedObject } from "../inspect/reduced-object.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { objectKey } from "../names.ts";
import type { EmbeddedObjects } from "../plane/clusters.ts";
import { REMOTE_CLASS } from "../registry/kube/gateway.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import { peerConditions, peerFindings } from "../registry/wanted/peer-conditions.ts";
import { conditionOf } from "../registry/wanted/wanted-status.ts";

const SHOWN: ReadonlySet<string> = new Set(FACT_KINDS.map(({ kind }) => kind));

/** What objectz says of a cluster that is folders; `embedded` is false, and the rest empty, where an API server has it. */
export interface ObjectView {
  readonly cluster: string;
  readonly embedded: boolean;
  /** What operators' commands look at, no Secret among it, each with where it was written, as `shop/cart.yaml:12`. */
  readonly objects: readonly { readonly origin: string; readonly object: KubeObject }[];
  /** What of the folders does not count. */
  readonly problems: readonly Problem[];
  readonly unknownKinds: EmbeddedObjects["unknownKinds"];
}

export interface ObjectsViewed {
  readonly registry: Pick<Registry, "peeringViewInputs">;
  readonly config: Pick<Config, "peering">;
  embedded(): EmbeddedObjects | undefined;
}

/** Its Gateways have the conditions that we would write if there were an API server to write to. */
export function objectView(viewed: ObjectsViewed): ObjectView {
  const { localCluster: cluster } = viewed.registry.peeringViewInputs.options;
  const embedded = viewed.embedded();
  if (embedded === undefined) return { cluster, embedded: false, objects: [], problems: [], unknownKinds: [] };
  const { problems, unknownKinds } = embedded;
  const objects = [...embedded.objects]
    .filter(({ object }) => isShown(object))
    .map(({ object, origin }) => ({ origin, object: judged(viewed, reducedObject(object)) }));
  return { cluster, embedded: true, objects, problems, unknownKinds };
}

/** A cluster that is folders reads no Secret, and ConfigMaps of applications are nobody's business here. */
const isShown = (object: KubeObject): boolean => object.kind !== "Secret" && SHOWN.has(object.kind) && isFact(object);

function judged({ registry, config }: ObjectsViewed, object: KubeObject): KubeObject {
  const spec = object["spec"];
  if (object.kind !== "Gateway" || !isFields(spec) || spec["gatewayClassName"] !== REMOTE_CLASS) return object;
  const { namespace = "", name } = object.metadata;
  const { peers, paths, peerGateways, options } = registry.peeringViewInputs;
  const reads = { peerGateways, statuses: peers.statuses, facts: peers.facts, ...paths };
  const findings = peerFindings(objectKey(options.localCluster, namespace, name), reads, options);
  const none = { conditions: [], generation: undefined };
  const conditions = peerConditions(findings, config.peering.conditionPrefix).map((each) => conditionOf(each, none));
  return { ...object, status: { ...(isFields(object["status"]) ? object["status"] : {}), conditions } };
}
