import assert from "node:assert/strict";
import { test } from "mocha";
import { type Environment, type Options, UsageError } from "../src/command.ts";
import { CONFIG_FLAGS, type Config, loadConfig } from "../src/config.ts";

const DEFAULTS = { listenAddress: "127.0.0.1", stateDir: ".causeway" };
const load = (options: Options = {}, environment: Environment = {}): Config =>
  loadConfig(options, environment, DEFAULTS);

test("without flags and variables, names and ports are istiod's and plaintext is off", () => {
  const config = load();
  assert.deepEqual(
    [config.clusterId, config.network, config.trustDomain, config.systemNamespace, config.revision],
    ["Kubernetes", "", "cluster.local", "istio-system", "default"],
  );
  assert.deepEqual(config.ports, { xds: 15012, xdsPlaintext: undefined, admin: 15014, controlz: 9876, health: 8080 });
  assert.deepEqual([...config.trustedNodeAccounts], ["istio-system/ztunnel"]);
  assert.deepEqual([config.listenAddress, config.stateDir, config.cacertsDir], ["127.0.0.1", ".causeway", undefined]);
});

test("a flag wins over its variable, and a variable over the default; an empty variable is none", () => {
  const environment = { CLUSTER_ID: "from-env", NETWORK: "net-1", TRUST_DOMAIN: "", POD_NAMESPACE: "mesh" };
  const config = load({ cluster: "from-flag" }, environment);
  assert.deepEqual(
    [config.clusterId, config.network, config.trustDomain, config.systemNamespace],
    ["from-flag", "net-1", "cluster.local", "mesh"],
  );
  assert.deepEqual([...config.trustedNodeAccounts], ["mesh/ztunnel"]);
});

test("variables of istiod mean what they mean there", () => {
  const standard = load();
  const settled: readonly [Environment, Partial<Config>][] = [
    [{ KUBECONFIG: "/k" }, { kubeconfig: "/k", kubeconfigMayBeAbsent: true }],
    [{ PILOT_REMOTE_CLUSTER_TIMEOUT: "1m30s" }, { remoteClusterTimeoutMs: 90_000 }],
    [{ PILOT_REMOTE_CLUSTER_TIMEOUT: "0s" }, { remoteClusterTimeoutMs: 0 }],
    [{ PILOT_MULTICLUSTER_KUBECONFIG_PATH: "/kubeconfigs" }, { multiclusterKubeconfigPath: "/kubeconfigs" }],
    [
      { PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS: "clientKey, tokenFile" },
      { insecureKubeconfigOptions: new Set(["clientKey", "tokenFile"]) },
    ],
    [{ DISABLE_LEGACY_MULTICLUSTER: "true" }, { legacyMulticluster: false }],
    [{ ENABLE_PEERING_DISCOVERY: "false" }, { peering: { ...standard.peering, enabled: false } }],
    [{ PEERING_STALE_GRACE: "90s" }, { peering: { ...standard.peering, staleGraceMs: 90_000 } }],
    [{ PEERING_STALE_POLICY: "remove" }, { peering: { ...standard.peering, stalePolicy: "remove" } }],
    [{ PEERING_ACCOUNTS: "mesh/istiod, a/b" }, { peering: { ...standard.peering, accounts: ["mesh/istiod", "a/b"] } }],
    [{ PEERING_ALLOW_DNS_NAME: "true" }, { peering: { ...standard.peering, dnsNameSuffices: true } }],
    [{ PEERING_NAMESPACE_TAKEOVER: "true" }, { peering: { ...standard.peering, namespaceTakeover: true } }],
    [{ PEERING_FLAT_NETWORK: "false" }, { peering: { ...standard.peering, flatPeering: "off" } }],
    [{ PEERING_FLAT_NETWORK: "true" }, { peering: { ...standard.peering, flatPeering: "on" } }],
    [{ PILOT_ENABLE_IP_AUTOALLOCATE: "false" }, { allocateIps: false }],
    [
      { PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false" },
      { gateways: { ...standard.gateways, enabled: false } },
    ],
    [
      { PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER: "false" },
      { gateways: { ...standard.gateways, makesClasses: false } },
    ],
    [{ GATEWAYS_SPIRE_WORKLOADS: "true" }, { gateways: { ...standard.gateways, spire: "csi" } }],
    [
      { GATEWAYS_SPIRE_WORKLOADS: "true", GATEWAY_SPIRE_ADMIN_SOCKET: "/run/spire/admin.sock" },
      { gateways: { ...standard.gateways, spire: { adminSocket: "/run/spire/admin.sock" } } },
    ],
    [{ GATEWAYS_SPIRE_WORKLOADS: "false", GATEWAY_SPIRE_ADMIN_SOCKET: "/run/spire/admin.sock" }, {}],
    [{ WORKLOAD_IDENTITY: "external" }, { spire: { ...standard.spire, identity: "external" } }],
    [
      { SPIRE_SERVER_ADDRESS: "unix:/run/spire/api.sock" },
      { spire: { ...standard.spire, server: { kind: "socket", path: "/run/spire/api.sock" } } },
    ],
    [
      { SPIFFE_ENDPOINT_SOCKET: "unix:///run/spire/agent.sock" },
      { spire: { ...standard.spire, agentSocket: "/run/spire/agent.sock" } },
    ],
    [
      { TRUST_MANAGER_ADDRESS: "trust.example:9900", TRUST_TOKEN_FILE: "/run/token" },
      { relay: { manager: "trust.example:9900", tokenFile: "/run/token" } },
    ],
    [{ SPIRE_CLUSTER: "east" }, { spire: { ...standard.spire, cluster: "east" } }],
    [
      { SPIRE_REGISTER: "off", SPIRE_REGISTER_REMOVALS: "50", SPIRE_REGISTER_BESIDE_CONTROLLER: "true" },
      {
        spire: {
          ...standard.spire,
          register: { templates: undefined, besideController: true, removalShare: 0.5 },
        },
      },
    ],
    [{ PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES: "False" }, { workloadEntrySelection: false }],
    [{ AMBIENT_ENABLE_MULTI_NETWORK: "f" }, { multiNetwork: false }],
    [{ AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY: "TRUE" }, { dryRunPolicies: true }],
    [{ SHARED_MESH_CONFIG: "shared" }, { meshConfigMaps: { own: "istio", shared: "shared" } }],
    [{ REVISION: "1-30" }, { revision: "1-30", meshConfigMaps: { own: "istio-1-30", shared: undefined } }],
    [{ PILOT_CA_CERT_CONFIGMAP: "roots" }, { rootConfigMap: "roots" }],
    [{ PILOT_ENABLE_CA_CRL: "false" }, { readsLists: false }],
    [{ PILOT_CRL_CONFIGMAP: "lists" }, { listsConfigMap: "lists" }],
    [{ ENABLE_CLUSTER_TRUST_BUNDLE_API: "true" }, { clusterTrustBundle: true }],
    [{ ISTIO_MULTIROOT_MESH: "true" }, { multiRootMesh: true }],
    [
      { JWT_RULE: '{"issuer": "https://a.test", "jwks_uri": "https://a.test/keys", "audiences": ["istio-ca"]}' },
      {
        jwtRules: [
          { issuer: "https://a.test", audiences: ["istio-ca"], keys: { kind: "url", url: "https://a.test/keys" } },
        ],
      },
    ],
    [{ ROOT_CA_DIR: "/etc/cacerts" }, { cacertsDir: "/etc/cacerts" }],
    [{ ISTIOD_CUSTOM_HOST: "a.example, b.example" }, { servingNames: ["a.example", "b.example"] }],
  ];
  for (const [environment, changed] of settled)
    assert.deepEqual(load({}, environment), { ...standard, ...changed }, JSON.stringify(environment));
});

test("a kubeconfig that a flag names must be there; one that the variable names need not", () => {
  const config = load({ kubeconfig: "/flag", context: "east" }, { KUBECONFIG: "/variable" });
  assert.deepEqual([config.kubeconfig, config.kubeconfigMayBeAbsent, config.kubeContext], ["/flag", false, "east"]);
});

test("what somebody chose is told from a default, even if it is the same", () => {
  assert.deepEqual(load().chosen, { cluster: false, network: false, trustDomain: false });
  const { chosen } = load({ cluster: "Kubernetes", trustDomain: "cluster.local" }, { NETWORK: "n1" });
  assert.deepEqual(chosen, { cluster: true, network: true, trustDomain: true });
});

test("nobody changes the config once it is loaded", () => {
  const config = load();
  assert.throws(() => Object.assign(config, { clusterId: "other" }), TypeError);
  assert.throws(() => Object.assign(config.ports, { xds: 1 }), TypeError);
});

test("several clusters have folders and ranges of their own; a bare value is the local cluster's", () => {
  const { manifests } = load({
    cluster: "east",
    manifests: ["./east", "west=./west", "north=./a=b/north"],
    podCidr: ["10.1.0.0/16", "west=10.2.0.0/16"],
  });
  assert.deepEqual(
    manifests.map(({ cluster, folder, podCidr, serviceCidr }) => [cluster, folder, podCidr, serviceCidr]),
    [
      ["east", "./east", "10.1.0.0/16", undefined],
      ["west", "./west", "10.2.0.0/16", undefined],
      ["north", "./a=b/north", undefined, undefined],
    ],
  );
  assert.deepEqual(load({ manifests: ["./a=b"] }).manifests[0]!.folder, "./a=b");
});

test("a value that cannot be is refused with the place, the value and what would be right", () => {
  const refused: readonly [Options, Environment, RegExp][] = [
    [{ adminPort: "70000" }, {}, /^--admin-port is "70000": give a port from 1 to 65535, or 0/],
    [{ xdsPort: "-1" }, {}, /^--xds-port is "-1"/],
    [{ healthPort: "80.5" }, {}, /^--health-port is "80.5"/],
    [{ plaintextPort: "" }, {}, /^--plaintext-port is ""/],
    [{ servePeers: "all" }, {}, /^--serve-peers is "all": use any, or listed/],
    [{ peerStaleGrace: "soon" }, {}, /^--peer-stale-grace is "soon": give a duration/],
    [{ peerStalePolicy: "forget" }, {}, /^--peer-stale-policy is "forget": use retain, unhealthy, remove/],
    [{ peerAccounts: "istiod" }, {}, /^--peer-accounts is "istiod": give namespace\/service-account/],
    [{}, { CLUSTER_ID: "a/b" }, /^CLUSTER_ID is "a\/b": use 1 to 128 letters/],
    [{ cluster: "east\nforged" }, {}, /^--cluster is "east\\nforged"/],
    [{}, { TRUST_DOMAIN: "Cluster.Local" }, /^TRUST_DOMAIN is "Cluster.Local": use 1 to 255 of a-z/],
    [{ trustDomain: "a/b" }, {}, /^--trust-domain is "a\/b"/],
    [{ clusterDomain: "-x" }, {}, /^--cluster-domain is "-x": give a DNS name/],
    [{ listen: "localhost" }, {}, /^--listen is "localhost": give an IP address/],
    [{ network: "a/b" }, {}, /^--network is/],
    [{}, { CA_TRUSTED_NODE_ACCOUNTS: "ztunnel" }, /^CA_TRUSTED_NODE_ACCOUNTS is "ztunnel": give namespace/],
    [{ manifests: ["a", "b"] }, {}, /^--manifests is "b": cluster Kubernetes has one already/],
    [{ manifests: [""] }, {}, /^--manifests is "": give a folder/],
    [{ podCidr: ["10.0.0.0/16"] }, {}, /^--pod-cidr is "10.0.0.0\/16": there is no --manifests for cluster Kubernetes/],
    [{ manifests: ["a"], podCidr: ["10.0.0.0"] }, {}, /^--pod-cidr is "10.0.0.0": give an IPv4 range/],
    [{ manifests: ["a"], serviceCidr: ["10.0.0.0/33"] }, {}, /^--service-cidr is "10.0.0.0\/33"/],
    [{ servingName: ["*.x"] }, {}, /^--serving-name is "\*\.x": give a DNS name/],
    [{}, { ISTIOD_CUSTOM_HOST: "a.example,*.x" }, /^ISTIOD_CUSTOM_HOST is "\*\.x": give a DNS name/],
    [{ kubeconfig: "" }, {}, /^--kubeconfig is "": give a file/],
    [{}, { PILOT_REMOTE_CLUSTER_TIMEOUT: "30" }, /^PILOT_REMOTE_CLUSTER_TIMEOUT is "30": give a duration, as 30s/],
    [{}, { PILOT_REMOTE_CLUSTER_TIMEOUT: "-1s" }, /^PILOT_REMOTE_CLUSTER_TIMEOUT is "-1s"/],
    [{}, { PILOT_ENABLE_IP_AUTOALLOCATE: "yes" }, /^PILOT_ENABLE_IP_AUTOALLOCATE is "yes": give true or false/],
    [{}, { DISABLE_LEGACY_MULTICLUSTER: "on" }, /^DISABLE_LEGACY_MULTICLUSTER is "on": give true or false/],
    [{}, { JWT_RULE: "{" }, /^JWT_RULE must be one rule in JSON, with issuer, audiences and jwksUri: /],
    [
      {},
      { JWT_RULE: '{"issuer": "https://a.test"}' },
      /^JWT_RULE\.audiences must be a list with at least one audience/,
    ],
    [{}, { SHARED_MESH_CONFIG: "a/b" }, /^SHARED_MESH_CONFIG is "a\/b": give the name of a ConfigMap/],
    [
      {},
      { PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS: "tokenFile,gcp" },
      /OPTIONS is "tokenFile,gcp": use exec, clientKey, .*, with commas between; Causeway has no gcp/,
    ],
    [{}, { PILOT_CA_CERT_CONFIGMAP: "Root" }, /^PILOT_CA_CERT_CONFIGMAP is "Root": give the name of a ConfigMap/],
    [{ log_output_level: "ads:loud" }, {}, /^--log_output_level has "ads:loud": the level must be one of/],
    [
      { gatewaySpireAdmin: "admin.sock" },
      {},
      /--gateway-spire-admin is "admin.sock": give the agent's admin_socket_path/,
    ],
    [
      { gatewaySpire: "csi" },
      { GATEWAY_SPIRE_ADMIN_SOCKET: "/s/a.sock" },
      /SOCKET is .*--gateway-spire already says where/,
    ],
  ];
  for (const [options, environment, message] of refused)
    assert.throws(
      () => load(options, environment),
      (thrown) => thrown instanceof UsageError && message.test(thrown.message),
      `${JSON.stringify([options, environment])} should fail with ${message}`,
    );
});

test("every flag of the config has an effect", () => {
  const values: Readonly<Record<string, string | boolean | readonly string[]>> = {
    cluster: "c2",
    network: "n2",
    "trust-domain": "td",
    "cluster-domain": "cd",
    "system-namespace": "ns",
    revision: "r2",
    "pod-name": "istiod-7d4b",
    listen: "::1",
    "xds-port": "1",
    "plaintext-port": "2",
    "admin-port": "3",
    "health-port": "4",
    ctrlz_port: "5",
    "trusted-node-accounts": "a/b",
    state: "s",
    cacerts: "ca",
    "root-wait": "0",
    "serve-peers": "listed",
    "peer-stale-grace": "1m",
    "peer-stale-policy": "remove",
    "peer-accounts": "a/b",
    "gateway-controller": "off",
    "gateway-image": "registry.example/causeway:1",
    "gateway-envoy-image": "registry.example/envoy:1",
    "gateway-replicas": "2",
    "gateway-requests": "cpu=1",
    "gateway-limits": "none",
    "gateway-spire": "csi",
    "gateway-spire-admin": "/run/spire/admin.sock",
    identity: "external",
    "spire-server": "unix:///run/spire/server.sock",
    "spire-agent": "unix:///run/spire/agent.sock",
    "spire-cluster": "east",
    "spire-register": "on",
    "spire-register-beside-controller": "on",
    "spire-register-removals": "50",
    "bundle-port": "8443",
    "trust-bundle": ["west.test=https://west.test/,profile=https_web"],
    "trust-bundle-allow": "private",
    "trust-manager": "other.example:9900",
    "trust-token": "t",
    manifests: ["m"],
    "serving-name": ["example.com"],
    kubeconfig: "k",
    context: "c",
    log_output_level: "debug",
    log_as_json: true,
  };
  const needsManifests = { "pod-cidr": ["10.0.0.0/8"], "service-cidr": ["10.0.0.0/8"] };
  const least = { manifests: ["other"], spireServer: "unix:/api.sock", trustManager: "trust.example:9900" };
  const standard = load(least);
  const together = { "bundle-cert": "c", "bundle-key": "k" };
  const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  for (const { flags } of CONFIG_FLAGS) {
    const name = /--([\w-]+)/.exec(flags)![1]!;
    const value = { ...values, ...needsManifests, ...together }[name];
    assert.ok(value !== undefined, `no value for --${name}`);
    const others = Object.hasOwn(together, name) ? { bundlePort: "1", bundleCert: "c", bundleKey: "k" } : {};
    assert.notDeepEqual(load({ ...least, ...others, [camel(name)]: value }), standard, `--${name}`);
  }
});

test("a way to sign that lacks what it needs is refused, and the error says what to give", () => {
  const server = { "spire-server": "spire-server.spire:443" };
  const refused: readonly [Record<string, string>, RegExp][] = [
    [{ identity: "vault" }, /--identity.*"vault".*use mesh, spire, spire-downstream, external/],
    [{ identity: "spire" }, /--identity spire asks SPIRE's server: name it with --spire-server/],
    [{ identity: "spire", ...server }, /over TCP needs an identity of ours: name the agent with --spire-agent/],
    [{ identity: "spire-downstream", "spire-server": "unix:/s" }, /needs the server's TCP port/],
    [{ "spire-server": "spire:70000" }, /--spire-server.*give host and port/],
    [{ "spire-server": `unix:///${"é".repeat(54)}` }, /--spire-server .*at most 107 bytes, and this one has 109/],
    [{ "spire-agent": `/${"s".repeat(107)}` }, /--spire-agent .*at most 107 bytes, and this one has 108/],
    [{ "spire-agent": "agent.sock" }, /--spire-agent.*give the path of a socket/],
    [{ "spire-cluster": "a b" }, /--spire-cluster.*use letters/],
    [{ "spire-register": "on" }, /--spire-register makes entries at SPIRE's server: name it with --spire-server/],
    [{ "spire-register": "onn" }, /--spire-register is "onn": use off, on, or a file/],
    [{ "spire-register-removals": "101" }, /--spire-register-removals.*give a number from 0 to 100/],
  ];
  for (const [flags, why] of refused) {
    const options = Object.entries(flags).map(([name, value]) => [
      name.replace(/-(.)/g, (_, x: string) => x.toUpperCase()),
      value,
    ]);
    assert.throws(() => load(Object.fromEntries(options) as Record<string, string>), why);
  }
  const socket = { spireServer: "unix:/s" };
  const register = load({ ...socket, spireRegister: "./ids.yaml", spireRegisterRemovals: "5" }).spire.register;
  assert.deepEqual(register, { templates: { file: "./ids.yaml" }, besideController: false, removalShare: 0.05 });
  const beside = load({ ...socket, spireRegister: "true", spireRegisterBesideController: "on" }).spire.register;
  assert.deepEqual(beside, { templates: "built-in", besideController: true, removalShare: 0.3 });
  const { spire } = load({ identity: "spire", spireServer: "[::1]:8081", spireAgent: "unix:/a" });
  assert.deepEqual(spire.server, { kind: "tcp", host: "::1", port: 8081 });
});

test("where bundles are read says whose they are and how their owner proves it, and what lacks that is refused", () => {
  const id = "spiffe://west.test/spire/server";
  const source = (text: string) => load({ trustBundle: [text] }).bundles.sources[0];
  assert.deepEqual(source("west.test=https://10.0.0.1:8443/,profile=https_web"), {
    ...{ trustDomains: ["west.test"], url: "https://10.0.0.1:8443/" },
    ...{ profile: { kind: "https_web" }, rootsFile: undefined },
  });
  assert.deepEqual(source(`west.test=https://a/?b=c,profile=https_spiffe,id=${id},roots=/west.pem`), {
    ...{ trustDomains: ["west.test"], url: "https://a/?b=c" },
    ...{ profile: { kind: "https_spiffe", id }, rootsFile: "/west.pem" },
  });
  const refused: readonly [Record<string, string | string[]>, RegExp][] = [
    [{ trustBundle: ["https://a/"] }, /--trust-bundle is "https:.*begin with the name of a trust domain/],
    [{ trustBundle: ["West=https://a/,profile=https_web"] }, /begin with the name of a trust domain/],
    [{ trustBundle: ["cluster.local=https://a/,profile=https_web"] }, /our own trust domain's bundle is what we serve/],
    [{ trustBundle: ["west=http://a/,profile=https_web"] }, /must begin with https:/],
    [{ trustBundle: ["west=https://u:p@a/,profile=https_web"] }, /without a password/],
    [{ trustBundle: ["west=https://a/"] }, /say how it proves itself, profile=https_web or https_spiffe/],
    [{ trustBundle: [`west=https://a/,id=${id}`] }, /say how it proves itself/],
    [{ trustBundle: [`west=https://a/,profile=https_web,id=${id}`] }, /say how it proves itself/],
    [{ trustBundle: ["west=https://a/,profile=https_spiffe"] }, /needs the identity of the endpoint/],
    [{ trustBundle: ["west=https://a/,profile=https_spiffe,id=spiffe://west"] }, /needs the identity/],
    [{ trustBundle: ["west=https://a/,profile=https_web,profile=https_web"] }, /give name=https/],
    [{ trustBundle: ["west=https://a/,profile=https_web,color=red"] }, /give name=https/],
    [{ trustBundleAllow: "linkLocal" }, /--trust-bundle-allow.*use private and loopback/],
    [{ bundlePort: "1", bundleCert: "c" }, /--bundle-cert and --bundle-key belong together/],
    [{ bundleCert: "c", bundleKey: "k" }, /name its port with --bundle-port/],
    [{ bundlePort: "x" }, /--bundle-port.*give a port/],
  ];
  for (const [flags, why] of refused) assert.throws(() => load(flags), why);
});

test("a trust manager is an address with a port, and a token is for one", () => {
  assert.equal(load({ trustManager: "[fd00::1]:9900" }).relay.manager, "[fd00::1]:9900");
  assert.deepEqual(load().relay, { manager: undefined, tokenFile: undefined });
  for (const address of ["trust.example", "https://trust.example:9900", "trust.example:0", "trust.example:65536", ""])
    assert.throws(() => load({ trustManager: address }), /--trust-manager is ".*": give host and port/);
  assert.throws(() => load({ trustToken: "/run/token" }), /--trust-token is for a trust manager: name it/);
});
