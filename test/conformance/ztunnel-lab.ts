import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAM } from "./causeway-process.ts";
import { TestNetwork, type TestHost } from "./network.ts";

const client = join(import.meta.dirname, "..", "..", "src", "ca", "client.js");

/** A workload of the lab: a pod with a machine of its own, and a ztunnel in front of it. */
export interface LabPod {
  readonly name: string;
  readonly host: TestHost;
}

/** A control plane and two pods, `web` and `cart` of namespace `shop`, each on a machine of its own. */
export class ZtunnelLab {
  readonly #network = new TestNetwork(4);
  readonly #running = new Set<ChildProcess>();
  readonly #folder = mkdtempSync(join(tmpdir(), "causeway-ztunnel-"));
  readonly manifests = join(this.#folder, "manifests");
  readonly state = join(this.#folder, "state");
  readonly web: LabPod;
  readonly cart: LabPod;
  /** The machine itself, where a ztunnel in shared mode runs for all its pods. */
  readonly node: LabPod;
  readonly #ztunnel: string;
  readonly #plane: TestHost;
  #output = new Map<ChildProcess, string[]>();

  constructor(ztunnel: string) {
    this.#ztunnel = ztunnel;
    const [plane, web, cart, node] = this.#network.hosts;
    this.#plane = plane!;
    this.web = { name: "web", host: web! };
    this.cart = { name: "cart", host: cart! };
    this.node = { name: "ztunnel-1", host: node! };
    mkdirSync(this.manifests);
    this.write("namespace.yaml", namespace);
    this.write("web.yaml", podManifest(this.web));
    this.write("cart.yaml", `${podManifest(this.cart)}---\n${cartService}`);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.manifests, name), text);
  }

  remove(name: string): void {
    rmSync(join(this.manifests, name));
  }

  /** The control plane, as its users start it. */
  async startControlPlane(...more: readonly string[]): Promise<ChildProcess> {
    const flags = ["--manifests", this.manifests, "--state", this.state, "--listen", this.#plane.address, ...more];
    const plane = this.#spawn(this.#plane, process.execPath, [PROGRAM, "demo", ...flags], {});
    await until("the control plane is ready", () => this.printed(plane).includes("causeway is ready"));
    return plane;
  }

  /** A ztunnel in dedicated mode beside `pod`, with nothing set but what contract ztunnel.md 1.9 names. */
  startZtunnel(pod: LabPod, more: Record<string, string> = {}): ChildProcess {
    return this.#startZtunnel(pod, "shop", {
      PROXY_MODE: "dedicated",
      PROXY_WORKLOAD_INFO: `shop/${pod.name}/${pod.name}`,
      ENABLE_ORIG_SRC: "false",
      UNSTABLE_ENABLE_SOCKS5: "true",
      ...more,
    });
  }

  /** Any command of ours, in the lab's folder, to its end; on the control plane's machine. */
  causeway(...words: readonly string[]): string {
    return this.#plane.run("env", ["-C", this.#folder, process.execPath, PROGRAM, ...words]);
  }

  /** A path in the lab's folder. */
  at(name: string): string {
    return join(this.#folder, name);
  }

  /** A ztunnel in shared mode, as the DaemonSet runs it, on the node of all pods; a CNI agent may listen on `agentSocket`. */
  startNodeZtunnel(more: Record<string, string> = {}): ChildProcess {
    this.write("ztunnel.yaml", ztunnelPod(this.node));
    const mode = { PROXY_MODE: "shared", INPOD_UDS: this.agentSocket, ...more };
    return this.#startZtunnel(this.node, "istio-system", mode);
  }

  get agentSocket(): string {
    return this.at("cni.sock");
  }

  /**
   * Asks for a certificate as a ztunnel does, with the token that the ztunnel of `pod` was started with.
   * @returns the identity that was issued, or the refusal.
   */
  ask({ host, name }: LabPod, impersonate: string): string {
    const asked = { address: `${this.#plane.address}:15012`, impersonate, token: this.at(`${name}.token`) };
    return host.run(process.execPath, ["-e", askScript, JSON.stringify({ ...asked, root: this.#rootFile, client })]);
  }

  /** The value of a series of the control plane's, as `name{label="value"}`; 0 if it is not there. */
  planeMetric(series: string): number {
    const { admin } = JSON.parse(readFileSync(join(this.state, "connection.json"), "utf8")) as { admin: string };
    const lines = fetchIn(this.#plane, `${admin}/metrics`).split("\n");
    return Number(
      lines
        .find((line) => line.startsWith(`${series} `))
        ?.split(" ")
        .at(-1) ?? 0,
    );
  }

  #startZtunnel({ name, host }: LabPod, namespace: string, mode: Record<string, string>): ChildProcess {
    const token = join(this.#folder, `${name}.token`);
    const flags = ["-n", namespace, "--pod", name, "--manifests", this.manifests, "--state", this.state];
    writeFileSync(token, this.#plane.run(process.execPath, [PROGRAM, "token", ...flags]).trim());
    const address = `https://${this.#plane.address}:15012`;
    return this.#spawn(host, this.#ztunnel, [], {
      ...mode,
      XDS_ADDRESS: address,
      CA_ADDRESS: address,
      XDS_ROOT_CA: this.#rootFile,
      CA_ROOT_CA: this.#rootFile,
      AUTH_TOKEN: token,
      POD_NAME: name,
      POD_NAMESPACE: namespace,
      INSTANCE_IP: host.address,
      NODE_NAME: "node-1",
      RUST_LOG: "info",
    });
  }

  /** A web server in front of which the pod's ztunnel stands. */
  startApp({ host, name }: LabPod): ChildProcess {
    const server = `require("http").createServer((_, answer) => answer.end("hello from ${name}")).listen(8080)`;
    return this.#spawn(host, process.execPath, ["-e", server], {});
  }

  /** What `pod` gets when it calls `http://address:port/` through its ztunnel; empty if it is refused. */
  call(pod: LabPod, address: string, port: number): string {
    return pod.host.run(process.execPath, ["-e", socksClient, address, String(port)]);
  }

  /** How many TCP connections the machine of `pod` has accepted. */
  accepted({ host }: LabPod): number {
    const [names, values] = host
      .run("grep", ["^Tcp:", "/proc/net/snmp"])
      .split("\n")
      .map((line) => line.split(" "));
    return Number(values![names!.indexOf("PassiveOpens")]);
  }

  /** What the ztunnel of `pod` holds (contract ztunnel.md 6.8). */
  configDump(pod: LabPod): ConfigDump {
    return JSON.parse(fetchIn(pod.host, "http://127.0.0.1:15000/config_dump")) as ConfigDump;
  }

  ready(pod: LabPod): boolean {
    return fetchIn(pod.host, "http://127.0.0.1:15021/healthz/ready").includes("ready");
  }

  metrics(pod: LabPod): string {
    return fetchIn(pod.host, "http://127.0.0.1:15020/stats/prometheus");
  }

  /** Everything a program has printed. */
  printed(program: ChildProcess): string {
    return (this.#output.get(program) ?? []).join("");
  }

  async stop(program: ChildProcess, signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): Promise<void> {
    if (!this.#running.has(program)) return;
    const gone = new Promise((resolve) => program.once("exit", resolve));
    program.kill(signal);
    await gone;
  }

  async close(): Promise<void> {
    for (const program of this.#running) await this.stop(program);
    this.#network[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true });
  }

  rootCertificate(): string {
    return readFileSync(this.#rootFile, "utf8");
  }

  get #rootFile(): string {
    return join(this.state, "root-cert.pem");
  }

  #spawn(host: TestHost, command: string, args: readonly string[], environment: Record<string, string>): ChildProcess {
    const program = host.spawn(command, args, environment);
    const output: string[] = [];
    this.#output.set(program, output);
    this.#running.add(program);
    program.stdout!.on("data", (bytes: Buffer) => output.push(bytes.toString()));
    program.stderr!.on("data", (bytes: Buffer) => output.push(bytes.toString()));
    program.once("exit", () => this.#running.delete(program));
    return program;
  }
}

export interface ConfigDump {
  readonly workloads: readonly { readonly uid: string }[];
  readonly services: readonly { readonly hostname: string }[];
  readonly policies: readonly { readonly name: string }[];
  readonly stagedServices: Readonly<Record<string, unknown>>;
  readonly certificates: readonly {
    readonly identity: string;
    readonly state: string;
    readonly certChain?: readonly { readonly pem: string }[];
    readonly rootCerts?: readonly { readonly pem: string }[];
  }[];
}

/** Asks again every 100 ms for half a minute: other people's programs do not say when they are done. */
export async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  let last: unknown;
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      if (await check()) return;
    } catch (thrown) {
      last = thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it did not become true that ${what}`, { cause: last });
}

export function fetchIn(host: TestHost, url: string): string {
  const script = `fetch(process.argv[1]).then((r) => r.text()).then((t) => process.stdout.write(t), () => {})`;
  return host.run(process.execPath, ["-e", script, url]);
}

const namespace = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
`;

export const podManifest = ({ name, host }: LabPod): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {app: ${name}}}
spec:
  nodeName: node-1
  serviceAccountName: ${name}
  containers: [{name: app, image: app, ports: [{containerPort: 8080}]}]
status: {phase: Running, podIPs: [{ip: ${host.address}}], podIP: ${host.address}}
`;

const ztunnelPod = ({ name, host }: LabPod): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: istio-system, labels: {app: ztunnel}}
spec:
  nodeName: node-1
  serviceAccountName: ztunnel
  containers: [{name: istio-proxy, image: ztunnel}]
status: {phase: Running, podIPs: [{ip: ${host.address}}], podIP: ${host.address}}
`;

export const CART_ADDRESS = "10.96.1.1";

const cartService = `apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: ${CART_ADDRESS}, selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}
`;

const askScript = `
const { address, impersonate, token, root, client } = JSON.parse(process.argv[1]);
const { readFileSync } = require("fs");
const text = (path) => readFileSync(path, "utf8");
const request = { address, impersonate, token: text(token), roots: text(root), clusterId: "Kubernetes", ttlSeconds: 60 };
import(client).then(({ requestCertificate, verifySvid }) =>
  requestCertificate({ ...request, signal: AbortSignal.timeout(10000) }).then((answer) => verifySvid(answer, Date.now())),
).then(({ spiffeId }) => process.stdout.write(spiffeId), ({ message }) => process.stdout.write(message));
`;

/** SOCKS5 without authentication (RFC 1928) to the ztunnel of the pod, then one HTTP request. */
export const socksClient = `
const [address, port] = process.argv.slice(1);
const socket = require("net").connect(15080, "127.0.0.1");
let stage = 0, text = "";
socket.on("connect", () => socket.write(Buffer.from([5, 1, 0])));
socket.on("data", (bytes) => {
  if (stage === 0) {
    stage = 1;
    socket.write(Buffer.from([5, 1, 0, 1, ...address.split(".").map(Number), port >> 8, port & 255]));
  } else if (stage === 1) {
    stage = 2;
    if (bytes[1] !== 0) return socket.destroy();
    socket.write("GET / HTTP/1.0\\r\\nHost: " + address + "\\r\\n\\r\\n");
  } else text += bytes;
});
socket.on("error", () => {});
socket.on("close", () => process.stdout.write(text.split("\\r\\n\\r\\n")[1] ?? ""));
setTimeout(() => socket.destroy(), 8000).unref();
`;
