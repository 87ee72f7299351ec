import assert from "node:assert/strict";
import { suite, test } from "mocha";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { CART_ADDRESS, until, ZtunnelLab } from "./ztunnel-lab.ts";

// Its verifier, webpki, builds paths more strictly than OpenSSL, and knows fewer signatures.
suite("what unmodified ztunnels make of authorities that causeway ca made", () => {
  for (const type of KEY_TYPES)
    test(`two trust the control plane and each other under a root and an authority of ${type}`, async function () {
      const binary = ztunnelBinary(process.env);
      skipWithout(this, "ztunnel-issuers", binary, networkNamespaces());
      const lab = new ZtunnelLab(binary as string);
      try {
        lab.causeway("ca", "init", "--dir", "root", "--key-type", type);
        lab.causeway("ca", "issue", "--root", "root", "--cluster", "c", "--dir", "own", "--key-type", type);
        await lab.startControlPlane("--cacerts", lab.at("own"));
        lab.startApp(lab.cart);
        const ztunnels = [lab.web, lab.cart].map((pod) => lab.startZtunnel(pod));
        await until("web reaches cart", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
        for (const pod of [lab.web, lab.cart]) {
          const [{ identity, state, certChain, rootCerts }] = lab.configDump(pod).certificates as [Dumped];
          assert.deepEqual([identity, state], [`spiffe://cluster.local/ns/shop/sa/${pod.name}`, "Available"]);
          assert.deepEqual([certChain?.length, rootCerts?.length], [2, 1], "a leaf and the authority, below the root");
        }
        assert.match(
          lab.metrics(lab.cart),
          /istio_tcp_connections_opened_total\{[^}]*connection_security_policy="mutual_tls"/,
        );
        for (const ztunnel of ztunnels) assert.doesNotMatch(lab.printed(ztunnel), /Nack|certificate fetch failed/);
      } finally {
        await lab.close();
      }
    });
});

type Dumped = ReturnType<ZtunnelLab["configDump"]>["certificates"][number];
