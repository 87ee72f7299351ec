import { type Bench, cost, type Report } from "./bench.ts";
import { Clients } from "./clients.ts";
import { bareHttp2, benchCertificate, BenchPlane } from "./plane.ts";
import { messagePrefix } from "../src/grpc/frames.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";

const CLIENTS = 1_000;
const WORKLOADS = 10_000;

/** A thousand clients return to a restarted control plane, each naming the 10,000 resources that it holds. */
async function run(report: Report): Promise<void> {
  const certificate = await benchCertificate();
  const { root } = certificate;
  using clients = new Clients();
  const before = new BenchPlane(WORKLOADS);
  const first = await before.listen(certificate);
  await clients.run({ do: "snapshot", port: first.port, root, remember: true });
  await first.server.close(0);

  const after = new BenchPlane(WORKLOADS);
  const second = await after.listen(certificate);
  const back = await clients.run({ do: "return", port: second.port, root, count: CLIENTS });
  void second.server.close(0);

  // The same requests to a server that reads them, and answers as little.
  const answer = Buffer.concat([messagePrefix(60), Buffer.alloc(60)]);
  const bare = await bareHttp2(certificate, (stream) => {
    let [wanted, have] = [0, 0];
    stream.on("data", (chunk: Buffer) => {
      if (have === 0) wanted = 5 + chunk.readUInt32BE(1);
      have += chunk.length;
      if (have === wanted) stream.write(answer);
    });
  });
  const limit = await clients.run({ do: "return", port: bare.port, root, count: CLIENTS });
  bare.server.close();
  report(cost("reconnect.time-until-all-are-in-sync", back.ms, "ms", limit.ms));
  report(cost("reconnect.bytes-per-client", back.bytes / CLIENTS, "bytes", after.logs.get(ADDRESS_TYPE)!.bytes));
}

export const bench: Bench = { name: "reconnect", run };
