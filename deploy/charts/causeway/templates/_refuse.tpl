{{/* What somebody relies on and would not have. Each says which value, what is so instead, and what to do. */}}
{{- define "causeway.refuse" -}}
{{- $v := .v -}}
{{- $g := $v.global -}}
{{- $no := list -}}
{{- if ne $g.istioNamespace .Release.Namespace -}}
{{- $no = append $no (printf "global.istioNamespace is %q and the release is in %q: install it with --namespace %s" $g.istioNamespace .Release.Namespace $g.istioNamespace) -}}
{{- end -}}
{{- if not (has ($v.profile | default "ambient") (list "ambient")) -}}
{{- $no = append $no (printf "profile is %q: Causeway serves ambient meshes and injects no sidecars; set it to ambient, or keep istiod" $v.profile) -}}
{{- end -}}
{{- range $hub := list ($v.hub | default "") ($g.hub | default "") -}}
{{- if regexMatch "(^|/)(istio|istio-release|istio-testing|soloio-img|gloo-mesh)(/|$)|registry\\.istio\\.io" $hub -}}
{{- $no = append $no (printf "global.hub is %q: that has istiod's images; give the hub that has causeway's, and its tag" $hub) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "(^|/)pilot([:@]|$)" $v.image -}}
{{- $no = append $no (printf "image is %q: that is istiod's; leave it out, or give causeway's" $v.image) -}}
{{- end -}}
{{- if or ($v.istiodRemote).enabled $g.externalIstiod $g.configCluster $g.remotePilotAddress -}}
{{- $no = append $no "istiodRemote.enabled, global.externalIstiod, global.configCluster and global.remotePilotAddress: Causeway serves the cluster that it runs in; leave them out, and install it in each cluster" -}}
{{- end -}}
{{- if or $g.caAddress $g.caName $g.certSigners -}}
{{- $no = append $no "global.caAddress, global.caName and global.certSigners: no other authority is asked to sign for workloads; leave them out, and give an intermediate in Secret cacerts, or set causeway.identity to spire" -}}
{{- end -}}
{{- if ne ($g.pilotCertProvider | default "istiod") "istiod" -}}
{{- $no = append $no (printf "global.pilotCertProvider is %q: our certificate is of our own authority; set it to istiod" $g.pilotCertProvider) -}}
{{- end -}}
{{- if ne ((($g.sds).token).aud | default "istio-ca") "istio-ca" -}}
{{- $no = append $no (printf "global.sds.token.aud is %q: tokens must be for istio-ca; leave it out" $g.sds.token.aud) -}}
{{- end -}}
{{- if $g.meshNetworks -}}
{{- $no = append $no "global.meshNetworks: ways to other networks are Gateways here (docs/multi-network.md); leave it out, and make one for each network" -}}
{{- end -}}
{{- if $v.jwksResolverExtraRootCA -}}
{{- $no = append $no "jwksResolverExtraRootCA: nothing is fetched in the name of RequestAuthentications by the control plane; leave it out" -}}
{{- end -}}
{{- if ($v.taint).enabled -}}
{{- $no = append $no "taint.enabled: taints of nodes would stay, as Causeway does not remove them; leave it out, and leave such taints out" -}}
{{- end -}}
{{- if ($v.experimental).stableValidationPolicy -}}
{{- $no = append $no "experimental.stableValidationPolicy: no admission policy is installed, and objects of any kind would be let in; leave it out" -}}
{{- end -}}
{{- if ($v.sidecarInjectorWebhook).enableNamespacesByDefault -}}
{{- $no = append $no "sidecarInjectorWebhook.enableNamespacesByDefault: no sidecar is injected, and pods would run without; label namespaces istio.io/dataplane-mode=ambient instead" -}}
{{- end -}}
{{- if or ($v.gateways).securityContext (and ($v.gateways).seccompProfile (ne (toString $v.gateways.seccompProfile.type) "RuntimeDefault")) -}}
{{- $no = append $no "gateways.securityContext and gateways.seccompProfile: pods of gateways run with the least that they need, and RuntimeDefault; leave them out" -}}
{{- end -}}
{{- range $name := list "POD_NAME" "POD_NAMESPACE" "SERVICE_ACCOUNT" "REVISION" "KUBECONFIG" -}}
{{- if hasKey $v.env $name -}}
{{- $no = append $no (printf "env.%s: the chart sets it from what the pod is; leave it out" $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaleEnabled (gt (int $v.autoscaleMin) (int $v.autoscaleMax)) -}}
{{- $no = append $no (printf "autoscaleMin is %d and autoscaleMax %d: set autoscaleMax to %d or more" (int $v.autoscaleMin) (int $v.autoscaleMax) (int $v.autoscaleMin)) -}}
{{- end -}}
{{- if and (has (toString $v.rollingMaxSurge) (list "0" "0%")) (has (toString $v.rollingMaxUnavailable) (list "0" "0%")) -}}
{{- $no = append $no "rollingMaxSurge and rollingMaxUnavailable are both 0: no pod could ever be replaced; set one of them to 1" -}}
{{- end -}}
{{- $stop := int $v.causeway.preStopSleepSeconds -}}
{{- if gt (add $stop 6) (int64 $v.causeway.terminationGracePeriodSeconds) -}}
{{- $no = append $no (printf "causeway.preStopSleepSeconds is %d, and pods are killed after causeway.terminationGracePeriodSeconds, %d: set that to %d or more, so that clients can be sent elsewhere" $stop (int $v.causeway.terminationGracePeriodSeconds) (add $stop 6)) -}}
{{- end -}}
{{- if $no -}}
{{- fail (printf "\n\ncauseway does not take these values:\n  - %s\n" (join "\n  - " $no)) -}}
{{- end -}}
{{- end -}}
