import { isFields, listOf, textOf, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";

/** What people call the thing that made the pod, guessed from its names as everybody does (contract ztunnel.md 5.2). */
export function podWorkloadName({ name, labels }: Metadata, object: Fields): string {
  const label = labels.map.get("service.istio.io/workload-name");
  if (label) return label;
  const metadata = isFields(object["metadata"]) ? object["metadata"] : {};
  if (textOf(metadata["generateName"], "metadata.generateName") === "") return name;
  const owner = listOf(metadata["ownerReferences"], "metadata.ownerReferences").find(
    (item): item is Fields => isFields(item) && item["controller"] === true,
  );
  if (!owner) return name;
  const ownerName = textOf(owner["name"], "metadata.ownerReferences[].name", 253);
  switch (owner["kind"]) {
    case "ReplicaSet": {
      const hash = ["pod-template-hash", "rollouts-pod-template-hash"]
        .map((key) => labels.map.get(key))
        .find((value) => value && ownerName.endsWith(`-${value}`));
      return hash ? ownerName.slice(0, -hash.length - 1) : ownerName;
    }
    case "ReplicationController":
      return labels.map.get("deploymentconfig") || ownerName;
    case "Job":
      // A CronJob names its jobs after the minute they were due.
      return ownerName.replace(/-\d{8,10}$/, "");
    default:
      return ownerName || name;
  }
}
