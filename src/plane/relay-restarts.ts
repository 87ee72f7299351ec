import type { Order } from "../relay/messages.ts";

/**
 * What an order's `autoRestartPods` comes to. Nothing that we serve has to be restarted: ztunnels, our gateways and this
 * control plane take up another certificate and other roots as they run (contract identity.md 4.2, R7).
 */
export function restartNotes(order: Order | undefined, platform: "kubernetes" | "embedded"): readonly string[] {
  if (order?.autoRestartPods !== true) return [];
  if (platform === "embedded")
    return [
      "autoRestartPods does nothing here: the pods of this cluster are manifests, and ambient parts need no restart",
    ];
  return [
    "autoRestartPods restarts nothing here: ambient parts take up certificates and roots as they run, and pods with a " +
      "sidecar are not restarted by this version: restart their workloads with kubectl rollout restart once the root " +
      "ConfigMap of their namespace holds the new roots",
  ];
}
