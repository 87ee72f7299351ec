import type { Values } from "./rendered-chart.ts";

/** Of guide 002, but for the hub and the tag, which are of other images. */
export const GUIDE = {
  env: {
    PILOT_ENABLE_IP_AUTOALLOCATE: "true",
    PILOT_SKIP_VALIDATE_TRUST_DOMAIN: "true",
    DISABLE_LEGACY_MULTICLUSTER: "true",
  },
  global: {
    multiCluster: { clusterName: "cluster1" },
    network: "cluster1",
    proxy: { clusterDomain: "cluster.local" },
  },
  meshConfig: {
    accessLogFile: "/dev/stdout",
    defaultConfig: { proxyMetadata: { ISTIO_META_DNS_AUTO_ALLOCATE: "true", ISTIO_META_DNS_CAPTURE: "true" } },
    trustDomain: "cluster1",
  },
  gateways: { spire: { workloads: true } },
  pilot: { cni: { namespace: "istio-system", enabled: true } },
  platforms: { peering: { enabled: true } },
  profile: "ambient",
  license: { value: "key" },
};

export const EVERYTHING = {
  causeway: {
    peeringObjects: "full",
    clusterTrustBundle: true,
    trustManager: "trust.example:9977",
    identity: "spire",
    spire: { server: "unix:///run/spire/server/private/api.sock", agent: "csi", cluster: "east", register: true },
    serviceAliases: ["istiod-gloo"],
    servingNames: ["istiod.example"],
    bundlePort: 8443,
  },
  global: { imagePullSecrets: ["pull"], logAsJson: true, priorityClassName: "system-cluster-critical" },
  podLabels: { team: "mesh" },
  // Whoever says so is not scraped, and their own words are not there twice.
  podAnnotations: { "prometheus.io/scrape": "false" },
  deploymentAnnotations: { "kube-score/ignore": "container-security-context-user-group-id" },
  deploymentLabels: { team: "mesh" },
};

/** What is on, and what the chart `causeway` is given for it. */
export const MATRIX: Readonly<Record<string, Values>> = {
  "as it comes": {},
  "as in guide 002": GUIDE,
  "with everything on": EVERYTHING,
  "as a revision with a tag": { revision: "canary", revisionTags: ["prod"] },
  "with as little as possible": {
    autoscaleEnabled: false,
    causeway: { gatewayController: false, remoteReader: false, preStopSleepSeconds: 0 },
    global: { networkPolicy: { enabled: false }, defaultPodDisruptionBudget: { enabled: false } },
    platforms: { peering: { enabled: false } },
    configMap: false,
  },
  "with SPIRE's socket on the node": { causeway: { identity: "external", spire: { agent: "/run/spire/sockets" } } },
};

/** The same, of the chart `peering`. */
export const PEERING: Readonly<Record<string, Values>> = {
  "a way in by a load balancer": { eastwest: { create: true, cluster: "bank", network: "net-bank" } },
  "a way in as upstream calls it, with all that can be said of it": {
    eastwest: {
      ...{ create: true, name: "door", cluster: "bank", network: "net-bank", className: "istio-east-west" },
      dataplaneServiceTypes: ["loadbalancer", "nodeport"],
      service: {
        metadata: { annotations: { "lb.example/internal": "y" } },
        spec: {
          type: "NodePort",
          ports: [
            { name: "tls-hbone", port: 15008, nodePort: 30015, protocol: "TCP" },
            { name: "tls-xds", port: 15012, nodePort: 30016, protocol: "TCP" },
          ],
          externalTrafficPolicy: "Local",
        },
      },
      deployment: { spec: { replicas: 2 } },
      podDisruptionBudget: { spec: { minAvailable: 1 } },
    },
  },
  "peers by address, name and node port": {
    remote: {
      create: true,
      items: [
        {
          cluster: "edge",
          network: "net-edge",
          address: "192.0.2.3",
          addressType: "IPAddress",
          region: "eu",
          zone: "a",
        },
        {
          cluster: "vendor",
          network: "net-vendor",
          addresses: ["vendor.example", "2001:db8::1"],
          trustDomain: "vendor",
        },
        {
          ...{ name: "branch", cluster: "branch", network: "net-branch", address: "192.0.2.4", nodeport: 30016 },
          ...{ hbonePort: 30015, preferredDataplaneServiceType: "nodeport", serviceAccount: "door" },
        },
      ],
    },
  },
};

/** The same, of the chart `trust-manager`. */
export const TRUST: Readonly<Record<string, Values>> = {
  "as it comes": {},
  "with everything on": {
    certManager: { enabled: true },
    vault: { audience: "https://vault.example" },
    secrets: [
      { namespace: "pki", name: "mesh-root" },
      { namespace: "pki", name: "former-root" },
      { namespace: "vaults", name: "token" },
    ],
    relay: {
      names: ["trust.example", "192.0.2.7", "2001:db8::7"],
      service: {
        ...{ type: "LoadBalancer", port: 443, nodePort: 30900, annotations: { "lb.example/internal": "y" } },
        ...{ loadBalancerClass: "lb.example/internal", loadBalancerSourceRanges: ["192.0.2.0/24"] },
        ...{ externalTrafficPolicy: "Local", ipFamilyPolicy: "PreferDualStack", ipFamilies: ["IPv4", "IPv6"] },
      },
    },
    global: { hub: "registry.example/mesh", tag: 1, imagePullSecrets: ["pull"], logAsJson: true },
    env: { NODE_EXTRA_CA_CERTS: "/etc/more/ca.crt" },
    volumes: [{ name: "more", configMap: { name: "more" } }],
    volumeMounts: [{ name: "more", mountPath: "/etc/more", readOnly: true }],
    tolerations: [{ key: "control-plane", operator: "Exists" }],
    serviceAccountAnnotations: { "iam.example/role": "trust" },
    podLabels: { team: "mesh" },
  },
  "at rest, without limits": {
    replicaCount: 0,
    resources: { limits: { memory: null } },
    global: { networkPolicy: { enabled: false } },
  },
};
