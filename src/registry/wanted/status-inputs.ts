import type { ClusterId, ObjectKey, ServiceName } from "../../names.ts";
import type { Attachment } from "../attachments.ts";
import type { CompiledPolicy } from "../authorization-policies.ts";
import type { Collection } from "../collection/collection.ts";
import type { RouteVerdicts } from "../gateways/route-verdicts.ts";
import type { PolicyVerdicts } from "../gateways/policy-verdicts.ts";
import type { Objects } from "../kube/objects.ts";
import type { MeshSettings } from "../model/mesh.ts";
import type { OfferedWaypoint } from "../waypoints.ts";

/** What statuses follow from: collections of the registry that nobody else outside of it needs. */
export interface StatusInputs {
  readonly objects: Objects;
  readonly policies: Collection<ObjectKey, CompiledPolicy>;
  /** Of policies for waypoints. */
  readonly verdicts: PolicyVerdicts;
  readonly attachments: Collection<string, Attachment>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
  readonly routes: Collection<string, RouteVerdicts>;
  readonly mesh: MeshSettings;
  /** Only its objects are written to. */
  readonly localCluster: ClusterId;
  /** Hosts without an address get one from us. */
  readonly allocateIps: boolean;
}
