import { clusterCost, costLines } from "../test/conformance/cluster-size.ts";
import { KubeLab } from "../test/conformance/kube-lab.ts";
import { type Bench, cost, type Report } from "./bench.ts";

const SIZE = { pods: 50_000, services: 5_000 };
const CHANGES = { changeS: 30, perSecond: 50 };
/** The bar for a change of an endpoint (contract operations.md, B). */
const LAG_MS = 150;

/** A whole Causeway on a real API server with a large cluster (test/kubeapi); filling that takes minutes. */
export const bench: Bench = {
  name: "kubernetes",
  async run(report: Report) {
    const lab = await KubeLab.find();
    if (!(lab instanceof KubeLab)) return console.error(`kubernetes: skipped; ${lab.missing}`);
    try {
      const found = await clusterCost(lab, SIZE, CHANGES);
      for (const line of costLines(found)) console.error(line);
      const { raw, readyMs, change } = found;
      report(cost("kubernetes.ready-50k-pods", readyMs, "ms", raw.listMs));
      report(cost("kubernetes.rss-50k-pods", found.rssMiB, "MiB", raw.MiB));
      report(cost("kubernetes.cpu-50-changes-a-second", change.cpuPercent, "% of a core", 100));
      report(cost("kubernetes.change-to-client-p99", change.lagMs.p99, "ms", LAG_MS));
    } finally {
      await lab.close();
    }
  },
};
