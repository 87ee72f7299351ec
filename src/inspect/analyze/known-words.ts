/**
 * Labels and annotations of the mesh, ours and those of the products whose words we read: one that is here is never taken
 * for a misspelt other one.
 */
export const KNOWN_KEYS: readonly string[] = [
  ...["istio.io/dataplane-mode", "istio.io/use-waypoint", "istio.io/use-waypoint-namespace", "istio.io/waypoint-for"],
  ...["istio.io/ingress-use-waypoint", "istio.io/global", "istio.io/rev", "istio.io/tag", "istio.io/gateway-name"],
  ...["istio.io/expose-istiod", "istio.io/dry-run", "istio.io/config", "istio.io/description", "istio.io/owned-by"],
  ...["istio.io/enable-inbound-passthrough", "istio.io/reroute-virtual-interfaces", "istio.io/connect-strategy"],
  ...[
    "istio.io/autoRegistrationGroup",
    "istio.io/workloadController",
    "istio.io/connectedAt",
    "istio.io/disconnectedAt",
  ],
  ...["istio.io/operator-managed", "istio.io/cluster-id", "istio.io/created-by", "istio.io/service-upstream"],
  ...["topology.istio.io/network", "topology.istio.io/cluster", "topology.istio.io/subzone"],
  ...["topology.istio.io/controlPlaneClusters", "networking.istio.io/tunnel", "networking.istio.io/cluster"],
  ...["networking.istio.io/traffic-distribution", "networking.istio.io/service-type", "networking.istio.io/exportTo"],
  ...["networking.istio.io/enable-autoallocate-ip", "networking.istio.io/gatewayPort"],
  ...["networking.istio.io/internal-service", "networking.istio.io/address-type"],
  ...["gateway.istio.io/managed", "gateway.istio.io/service-account", "gateway.istio.io/trust-domain"],
  ...["gateway.istio.io/name-override", "gateway.istio.io/controller-version", "gateway.istio.io/tls-terminate-mode"],
  ...["gateway.istio.io/defaults-for-class", "gateway.istio.io/alias-for"],
  ...[
    "ambient.istio.io/redirection",
    "ambient.istio.io/waypoint-inbound-binding",
    "ambient.istio.io/bypass-inbound-capture",
  ],
  ...["ambient.istio.io/dns-capture", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"],
  ...[
    "service.istio.io/workload-name",
    "sidecar.istio.io/inject",
    "sidecar.istio.io/status",
    "security.istio.io/tlsMode",
  ],
  ...["solo.io/service-scope", "solo.io/service-takeover", "solo.io/service-aliases", "solo.io/parent-service"],
  ...["solo.io/parent-service-namespace", "admin.solo.io/segment"],
  ...["peering.solo.io/data-plane-service-type", "peering.solo.io/preferred-data-plane-service-type"],
  ...["peering.causeway.dev/waypoint-policy", "peering.causeway.dev/clusters", "gateways.causeway.dev/node-ports"],
  ...["gateways.causeway.dev/applied", "trust.causeway.dev/bound", "trust.causeway.dev/rotate-root"],
  ...["trust.causeway.dev/cluster", "trust.causeway.dev/purpose", "trust.causeway.dev/store"],
];

const TRUTH = ["true", "false"];

/** Values that count, where a control plane that reads another one says nothing of it. */
export const KNOWN_VALUES: ReadonlyMap<string, readonly string[]> = new Map([
  ["istio.io/dataplane-mode", ["ambient", "none"]],
  ["istio.io/waypoint-for", ["service", "workload", "all", "none"]],
  ["istio.io/global", TRUTH],
  ["istio.io/dry-run", TRUTH],
]);
