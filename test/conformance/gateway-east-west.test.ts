import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { connect as connectTls, createServer, type Server } from "node:tls";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { serviceName } from "../../src/names.ts";
import { type BackendName, backendName } from "../../src/registry/model/proxy-backend.ts";
import { openTunnel, type Svid } from "../kits/hbone.ts";
import { TestAuthority } from "../kits/tls.ts";
import { backend, CART, eastWest, GATEWAY, plain, spiffe } from "../xds/envoy/samples.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { at, PathsLab, type Pod } from "./paths-lab.ts";
import { until } from "./ztunnel-lab.ts";

const NAME = "istiod.istio-system.svc";
const HOST = "cart.shop.mesh.internal:80";
const DIRECT = backendName(CART, 80);
const WAYPOINT = backendName(serviceName("shop", "waypoint"), 15008);

/** However it ends. */
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("close", () => resolve()));

suite("an east-west gateway on stock Envoy", () => {
  let lab: PathsLab;
  let control: Server;
  let web: Svid;
  let cart: Pod;
  let waypoint: Pod;

  before(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-east-west: skipped; ${binary.missing}`);
      this.skip();
    }
    const { certificate, key } = await (await TestAuthority.create()).issue();
    control = createServer({ cert: certificate, key }, (socket) => socket.end("the control plane"));
    await once(control.listen(0, "127.0.0.1"), "listening");
    const { port } = control.address() as AddressInfo;
    const changes = { kind: "east-west", controlPlanePort: 15012 } as const;
    lab = await PathsLab.open(binary, changes, { host: "127.0.0.1", port, serverNames: [NAME] });
    web = await lab.svid([spiffe("web")]);
    cart = await lab.pod("cart", "127.0.0.1", await lab.svid([spiffe("cart")]));
    waypoint = await lab.pod("waypoint", "127.0.0.1", await lab.svid([spiffe("way")]));
    send(DIRECT, cart);
    send(WAYPOINT, waypoint);
    const acted = [spiffe("waypoint", "west.example")];
    lab.world.eastWestRoutes.set(at(CART), eastWest({ actedBy: acted }));
    await lab.settle("connect_terminate", "control_plane", `outbound|${CART}|80`);
  });
  after(async () => {
    await lab?.close();
    control?.close();
  });

  /** Has a backend be the HBONE port of a pod: bytes go there as they are. */
  function send(name: BackendName, pod: Pod): void {
    lab.world.backends.set(at(name), { ...backend({}, "tcp"), name });
    lab.world.endpoints.set(at(name), { gateway: GATEWAY, name, groups: [[plain(pod.ip, pod.port)]] });
  }

  /** Calls through a tunnel within a tunnel, as a ztunnel of another network does. @returns who is at the inner end. */
  async function innerPeer(as: Svid, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const outer = await lab.tunnel(as, HOST, headers);
    // It ends with the inner one.
    outer.stream.on("error", () => undefined);
    const inner = { at: outer.stream, expected: [spiffe("cart"), spiffe("way")] };
    const { peer, close } = await openTunnel(inner, as, HOST);
    close();
    outer.close();
    return peer;
  }

  test("a call comes in through the service's waypoint, and its inner tunnel is opened by nobody on the way", async () => {
    assert.equal(await innerPeer(web), spiffe("way"));
    assert.equal(waypoint.tunnels.at(-1)!.peer, spiffe("web"));
    assert.deepEqual(cart.tunnels, []);
  });

  test("a waypoint that has acted already is let by, by its certificate and by nothing that anybody says", async () => {
    const acted = await lab.svid([spiffe("waypoint", "west.example")], "west.example");
    assert.equal(await innerPeer(acted), spiffe("cart"));
    const claims = { "x-causeway-caller": spiffe("waypoint", "west.example"), "x-istio-source": "waypoint" };
    assert.equal(await innerPeer(web, claims), spiffe("way"));
    assert.equal(await innerPeer(acted, { "x-causeway-caller": spiffe("web") }), spiffe("cart"));
  });

  test("what is not exported is refused, and each tunnel is a line of the log", async () => {
    for (const authority of ["pay.shop.mesh.internal:80", "cart.shop.mesh.internal:81", "10.0.0.5:8080"])
      await assert.rejects(lab.tunnel(web, authority), /http status: 404/, authority);
    await until("the log has them all", () => {
      const lines = lab.envoy.accessLog.filter(({ event }) => event === "tunnel");
      const codes = new Set(lines.map(({ response_code: code }) => code));
      return codes.has(404) && codes.has(200) && lines.some(({ route }) => /not a service/.test(String(route)));
    });
  });

  /** What comes back; empty for a connection that is closed. */
  async function hello(servername: string): Promise<string> {
    const port = await lab.envoy.portOf("control_plane");
    const socket = connectTls({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
    let said = "";
    socket.on("data", (bytes: Buffer) => (said += bytes.toString())).on("error", () => undefined);
    await closed(socket);
    return said;
  }

  test("TLS for the control plane is passed on unopened; other names, no name and no TLS are closed and logged", async () => {
    assert.equal(await hello(NAME), "the control plane");
    assert.equal(await hello("pay.shop.svc"), "");
    assert.equal(await hello(""), "");
    const socket = connect(await lab.envoy.portOf("control_plane"), "127.0.0.1");
    socket.on("error", () => undefined).write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await closed(socket.resume());
    await until("the log says what was asked for", () =>
      lab.envoy.accessLog.some(
        (line) => line["server_name"] === "pay.shop.svc" && line["response_code_details"] === "filter_chain_not_found",
      ),
    );
  });

  test("Envoy has refused none of it", () => assert.deepEqual(lab.rejections, []));
});
