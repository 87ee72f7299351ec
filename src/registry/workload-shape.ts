import { networkId, type ClusterId, type WorkloadUid } from "../names.ts";
import type { LabelSet } from "./kube/labels.ts";
import type { Workload } from "./model/workload.ts";

/** Of clusters that name none. */
export const DEFAULT_NETWORK = networkId("");

const CANONICAL_NAMES = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const CANONICAL_REVISIONS = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

const firstOf = (labels: LabelSet, keys: readonly string[]): string | undefined =>
  keys.map((key) => labels.map.get(key)).find((value) => value);

export const canonicalName = (labels: LabelSet, workloadName: string): string =>
  firstOf(labels, CANONICAL_NAMES) ?? workloadName;

export const canonicalRevision = (labels: LabelSet): string => firstOf(labels, CANONICAL_REVISIONS) ?? "latest";

/** A workload with an identity and nothing else: no address, no tunnel, no services. */
export function bareWorkload(
  uid: WorkloadUid,
  name: string,
  namespace: string,
  cluster: ClusterId,
  trustDomain: string,
): Workload {
  return {
    uid,
    name,
    namespace,
    cluster,
    network: DEFAULT_NETWORK,
    addresses: [],
    hostname: "",
    tunnel: "none",
    nativeTunnel: false,
    trustDomain,
    serviceAccount: "",
    node: "",
    canonicalName: name,
    canonicalRevision: "latest",
    workloadName: name,
    healthy: true,
    hostNetwork: false,
    locality: undefined,
    services: [],
    waypoint: undefined,
    networkGateway: undefined,
    applicationTunnel: undefined,
    policies: [],
    capacity: undefined,
  };
}
