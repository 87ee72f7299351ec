import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { KubeObject } from "../../src/kube/object.ts";
import { DAEMON_SETS, DEPLOYMENTS, PODS, REPLICA_SETS } from "../../src/kube/resource-types.ts";
import { type Causeway, endWithUs, eventually, PROGRAM } from "./causeway-process.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";
import type { Missing } from "./machine.ts";

export const SYSTEM = "istio-system";
const ANNOTATIONS = "kubeapi.causeway.dev";
const RUN_MS = 90_000;
const run = promisify(execFile);

/** The stock istioctl to run: nobody's binary is kept here, so its path is given. */
export function istioctlBinary(environment: NodeJS.ProcessEnv): string | Missing {
  const path = environment["ISTIOCTL"];
  if (path === undefined) return { missing: "ISTIOCTL is not set to the path of an unmodified istioctl 1.30" };
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return { missing: `ISTIOCTL=${path} is not an executable file` };
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Who runs programs: the administrator of a cluster, or of those in one kubeconfig. */
export interface Operator {
  readonly api: { readonly kubeconfig: string };
}

/** A program to its end, as such an operator. */
export async function ran({ api }: Operator, program: string, words: readonly string[], cwd?: string): Promise<Ran> {
  const env = { ...process.env, KUBECONFIG: api.kubeconfig };
  try {
    const { stdout, stderr } = await run(program, words, { env, timeout: RUN_MS, maxBuffer: 1 << 26, cwd });
    return { code: 0, out: stdout, err: stderr };
  } catch (thrown) {
    const { code, stdout = "", stderr = "" } = thrown as { code?: unknown; stdout?: string; stderr?: string };
    return { code: typeof code === "number" ? code : -1, out: stdout, err: stderr };
  }
}

export const causeway = (operator: Operator, ...words: readonly string[]): Promise<Ran> =>
  ran(operator, process.execPath, [PROGRAM, ...words]);

const labels = (app: string) => ({ app, "istio.io/rev": "default", ...(app === "istiod" && { istio: "pilot" }) });
const template = (app: string, container: string) => ({
  selector: { matchLabels: { app } },
  template: { metadata: { labels: { app } }, spec: { containers: [{ name: container, image: `${app}:1` }] } },
});
const ownedBy = ({ apiVersion, kind, metadata }: KubeObject) => [
  { apiVersion, kind, name: metadata.name, uid: metadata.uid!, controller: true },
];
export const running = (ip: string, container: string) => ({
  phase: "Running",
  podIP: ip,
  podIPs: [{ ip }],
  conditions: [{ type: "Ready", status: "True" }],
  containerStatuses: [
    { name: container, ready: true, restartCount: 0, image: "x", imageID: "x", state: { running: {} } },
  ],
});

/** What `kubectl logs` shows of that pod. */
export const controlPlaneLog = (lab: KubeLab, { name }: KubeCluster): string =>
  join(lab.folder, `discovery-${name}.log`);

/** The pod of a control plane that runs on this machine, with all that the chart gives it as far as tools look at it. */
export async function writeControlPlanePod(lab: KubeLab, cluster: KubeCluster, plane: Causeway): Promise<void> {
  const { client } = cluster;
  const log = controlPlaneLog(lab, cluster);
  writeFileSync(log, plane.log);
  const port = (url: string): string => `127.0.0.1:${new URL(url).port}`;
  const { admin, xds, health } = plane.connection!;
  const controlz = /ControlZ is served\taddress=127.0.0.1 port=(\d+)/.exec(plane.log)![1]!;
  const request = `exec "${process.execPath}" "${PROGRAM}" "$@" --admin "${admin}"`;
  const annotations = {
    [`${ANNOTATIONS}/port.15014`]: port(admin),
    [`${ANNOTATIONS}/port.15012`]: port(xds.includes("://") ? xds : `https://${xds}`),
    [`${ANNOTATIONS}/port.8080`]: port(health),
    [`${ANNOTATIONS}/port.9876`]: `127.0.0.1:${controlz}`,
    // As the image has it, but for the port: in a pod it is the usual one.
    [`${ANNOTATIONS}/exec.discovery`]: JSON.stringify({ "pilot-discovery": ["sh", "-c", request, "pilot-discovery"] }),
    [`${ANNOTATIONS}/log.discovery`]: log,
  };
  const env = [{ name: "CLUSTER_ID", value: cluster.name }];
  const metadata = { namespace: SYSTEM, labels: labels("istiod") };
  const spec = template("istiod", "discovery");
  const deployment = await client.put(DEPLOYMENTS, { metadata: { ...metadata, name: "istiod" }, spec });
  const set = { ...metadata, name: "istiod-5d", ownerReferences: ownedBy(deployment) };
  const replicas = await client.put(REPLICA_SETS, { metadata: set, spec });
  await client.put(PODS, {
    metadata: { ...metadata, name: "istiod-1", annotations, ownerReferences: ownedBy(replicas) },
    spec: { serviceAccountName: "istiod", containers: [{ name: "discovery", image: "causeway:0.1.0", env }] },
    status: running("10.0.0.9", "discovery"),
  });
}

/**
 * An unmodified ztunnel in shared mode on this machine, without a CNI agent: it has the mesh, and no pods. Its port for
 * probes, 15021, cannot be another.
 */
export class MachineZtunnel {
  static readonly POD = "ztunnel-here";
  readonly #process: ChildProcess;
  #log = "";

  private constructor(binary: string, environment: Readonly<Record<string, string>>) {
    this.#process = spawn(binary, [], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    endWithUs(this.#process);
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on("data", (bytes: Buffer) => (this.#log += bytes.toString()));
  }

  /** Resolves once it holds a workload of the control plane's. */
  static async start(binary: string, lab: KubeLab, cluster: KubeCluster, plane: Causeway): Promise<MachineZtunnel> {
    const { client } = cluster;
    const [admin, stats] = [await freePort(), await freePort()];
    const folder = join(lab.folder, "ztunnel");
    mkdirSync(folder);
    const metadata = { namespace: SYSTEM, labels: labels("ztunnel") };
    const owner = await client.put(DAEMON_SETS, {
      metadata: { ...metadata, name: "ztunnel" },
      spec: template("ztunnel", "istio-proxy"),
    });
    const ports = { 15000: admin, 15020: stats };
    const annotations = Object.fromEntries(
      Object.entries(ports).map(([port, at]) => [`${ANNOTATIONS}/port.${port}`, `127.0.0.1:${at}`]),
    );
    const log = { [`${ANNOTATIONS}/log.istio-proxy`]: join(folder, "log") };
    const own = { ...metadata, name: MachineZtunnel.POD, ownerReferences: ownedBy(owner) };
    await client.put(PODS, {
      metadata: { ...own, annotations: { ...annotations, ...log } },
      spec: { serviceAccountName: "ztunnel", nodeName: "here", containers: [{ name: "istio-proxy", image: "z" }] },
      status: running("10.0.0.8", "istio-proxy"),
    });
    const token = join(folder, "token");
    writeFileSync(token, await cluster.podToken(SYSTEM, MachineZtunnel.POD, "ztunnel", "istio-ca"));
    const { xds, rootCertificate } = plane.connection!;
    const address = xds.includes("://") ? xds : `https://${xds}`;
    const ztunnel = new MachineZtunnel(binary, {
      ...{ PROXY_MODE: "shared", INPOD_UDS: join(folder, "cni.sock"), RUST_LOG: "info" },
      ...{ XDS_ADDRESS: address, CA_ADDRESS: address, XDS_ROOT_CA: rootCertificate, CA_ROOT_CA: rootCertificate },
      ...{ AUTH_TOKEN: token, POD_NAME: MachineZtunnel.POD, POD_NAMESPACE: SYSTEM, INSTANCE_IP: "10.0.0.8" },
      ...{ NODE_NAME: "here", CLUSTER_ID: cluster.name },
      PROXY_CONFIG: JSON.stringify({ proxyAdminPort: admin, statsPort: stats, proxyMetadata: {} }),
    });
    await eventually("the ztunnel holds the mesh", 30_000, async () => {
      writeFileSync(join(folder, "log"), ztunnel.#log);
      if (ztunnel.#process.exitCode !== null) throw new Error(`ztunnel ended: ${ztunnel.#log.slice(0, 2000)}`);
      const dump = await fetch(`http://127.0.0.1:${admin}/config_dump`);
      return (await dump.text()).includes("/Pod/");
    });
    return ztunnel;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What `kubectl port-forward` makes of a pod's port: a port of this machine, until it is closed. */
export async function kubectlForward(cluster: KubeCluster, pod: string, port: number) {
  const words = ["--kubeconfig", cluster.api.kubeconfig, "-n", SYSTEM, "port-forward", `pod/${pod}`, `:${port}`];
  const child = spawn("kubectl", words, { stdio: ["ignore", "pipe", "pipe"] });
  endWithUs(child);
  let said = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const forwarded = (): string | undefined => /Forwarding from (127\.0\.0\.1:\d+)/.exec(said)?.[1];
  await eventually(`kubectl forwards ${port}: ${said}`, 20_000, () => forwarded() !== undefined);
  return {
    url: `http://${forwarded()}`,
    async close(): Promise<void> {
      const gone = once(child, "exit");
      child.kill();
      await gone;
    },
  };
}

export const readText = (path: string): string => readFileSync(path, "utf8");
