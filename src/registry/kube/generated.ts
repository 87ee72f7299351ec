import { hash } from "node:crypto";
import { isFields, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";

/** Who made an object, so that nobody else need care for it (contract peering.md 2.5). */
export const MANAGED_BY = "app.kubernetes.io/managed-by";
export const MANAGER = "causeway";
export const SEGMENT = "admin.solo.io/segment";
export const PARENT = "solo.io/parent-service";
export const PARENT_NAMESPACE = "solo.io/parent-service-namespace";
/** On entries for the nodes of a peer: which one. */
export const CLUSTER = "topology.istio.io/cluster";
/** Further hosts of a generated ServiceEntry, with commas between. */
export const ALIASES = "solo.io/service-aliases";
/** The clusters that a generated entry is there for, with commas between. */
export const CLUSTERS = "peering.causeway.dev/clusters";

const LABELS = [MANAGED_BY, SEGMENT, PARENT, PARENT_NAMESPACE, CLUSTER] as const;
const ANNOTATIONS = [ALIASES, CLUSTERS] as const;
const RESERVED = /^autogen(flat)?\./;

/**
 * A ServiceEntry or WorkloadEntry that shows what a control plane knows of peers, as it is there. It is never read as
 * what somebody wants: whoever wrote it knew that from elsewhere (contract peering.md B33).
 */
export interface GeneratedEntry {
  readonly namespace: string;
  readonly name: string;
  /** True if we, or another control plane, made it; else it only has such a name, and is somebody's. */
  readonly made: boolean;
  /** True if others wrote some of its spec, which nobody could withdraw in parts. */
  readonly edited: boolean;
  readonly resourceVersion: string;
  /** Of all of it that is ours to say; see `contentDigest`. */
  readonly digest: string;
  /** As `host address`, sorted; of its status. */
  readonly addresses: readonly string[];
  /** Whom it is there for; undefined if it does not say. */
  readonly clusters: readonly string[] | undefined;
}

/** What a generated entry says. Labels and annotations of other names are nobody's business here. */
export interface GeneratedContent {
  readonly spec: unknown;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly annotations: Readonly<Record<string, unknown>>;
}

/**
 * True for a view of what we hold anyway, as `autogen.shop.cart`, in whatever namespace: it says nothing, and no Service
 * selects it, whatever PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES says.
 */
export const isGenerated = ({ name, labels }: Metadata): boolean => labels.map.has(PARENT) && RESERVED.test(name);

/** As it is in the system namespace; undefined for what is not generated. Never throws. */
export function readGenerated(metadata: Metadata, object: Fields): GeneratedEntry | undefined {
  const { namespace, name, labels } = metadata;
  const ours = labels.map.get(MANAGED_BY) === MANAGER;
  if (!ours && !RESERVED.test(name)) return undefined;
  const raw = isFields(object["metadata"]) ? object["metadata"] : {};
  const spec = isFields(object["spec"]) ? object["spec"] : {};
  const annotations = isFields(raw["annotations"]) ? raw["annotations"] : {};
  const clusters = annotations[CLUSTERS];
  return {
    namespace,
    name,
    made: ours || labels.map.has(PARENT) || selectsParent(spec),
    edited: isEdited(raw["managedFields"]),
    resourceVersion: typeof raw["resourceVersion"] === "string" ? raw["resourceVersion"] : "",
    digest: contentDigest({ spec, labels: Object.fromEntries(labels.map), annotations }),
    addresses: addressesIn(object["status"]),
    clusters: typeof clusters === "string" ? clusters.split(",") : undefined,
  };
}

/** Equal for entries that say the same, in whatever order. */
export function contentDigest({ spec, labels, annotations }: GeneratedContent): string {
  const chosen = (names: readonly string[], from: Readonly<Record<string, unknown>>): readonly unknown[] =>
    names.map((name) => from[name] ?? null);
  return hash("sha256", JSON.stringify([sorted(spec), chosen(LABELS, labels), chosen(ANNOTATIONS, annotations)]));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isFields(value)) return value;
  const keys = Object.keys(value).sort();
  return keys.map((key) => [key, sorted(value[key])]);
}

/** Labels of generated entries, and the selectors that find them, name the service (contract peering.md B15). */
function selectsParent(spec: Fields): boolean {
  const selector = isFields(spec["workloadSelector"]) ? spec["workloadSelector"]["labels"] : undefined;
  return [selector, spec["labels"]].some((labels) => isFields(labels) && typeof labels[PARENT] === "string");
}

function isEdited(managedFields: unknown): boolean {
  if (!Array.isArray(managedFields)) return false;
  return managedFields.some(
    (entry) =>
      isFields(entry) &&
      entry["manager"] !== MANAGER &&
      isFields(entry["fieldsV1"]) &&
      Object.hasOwn(entry["fieldsV1"], "f:spec"),
  );
}

function addressesIn(status: unknown): readonly string[] {
  const addresses = isFields(status) ? status["addresses"] : undefined;
  if (!Array.isArray(addresses)) return [];
  return addresses
    .flatMap((item) => (isFields(item) ? [`${String(item["host"])} ${String(item["value"])}`] : []))
    .sort();
}
