package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	apiextensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/compatibility"
	baseversion "k8s.io/component-base/version"
	"k8s.io/kube-openapi/pkg/common"

	builtin "kubeapi/openapi"
)

// effectiveVersion makes /version tell the version of the libraries.
type effectiveVersion struct{ compatibility.EffectiveVersion }

func (e effectiveVersion) Info() *apiversion.Info {
	info := e.EffectiveVersion.Info()
	build, _ := debug.ReadBuildInfo()
	for _, m := range build.Deps {
		if m.Path == "k8s.io/apiserver" {
			info.GitVersion, info.GitCommit = "v1"+strings.TrimPrefix(m.Version, "v0"), ""
		}
	}
	return info
}

// server is the assembled API server: the built-in groups in front, custom
// resources behind them.
type server struct {
	*genericapiserver.GenericAPIServer
	crds     *apiextensions.CustomResourceDefinitions
	loopback *restclient.Config
}

func newServer(o settings, listener net.Listener, pki *pki, etcdEndpoint string) (*server, error) {
	config := genericapiserver.NewConfig(codecs)
	release := version.MustParse(baseversion.DefaultKubeBinaryVersion)
	config.EffectiveVersion = effectiveVersion{compatibility.NewEffectiveVersion(release, false, release, release)}
	config.MinRequestTimeout = int(o.watchTimeout.Seconds())
	config.LongRunningFunc = filters.BasicLongRunningRequestCheck(sets.NewString("watch"), sets.NewString("exec", "log", "portforward"))
	config.MaxRequestsInFlight, config.MaxMutatingRequestsInFlight = 2000, 1000
	config.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis") // shared with the CRD server

	// Serving, and clients to itself.
	serving := options.NewSecureServingOptions()
	serving.Listener = listener
	cert, err := dynamiccertificates.NewStaticCertKeyContent("serving", pki.cert, pki.key)
	if err != nil {
		return nil, err
	}
	serving.ServerCert.GeneratedCert = cert
	if err := serving.WithLoopback().ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return nil, err
	}
	config.ExternalAddress = listener.Addr().String()
	loopback := restclient.CopyConfig(config.LoopbackClientConfig)
	loopback.QPS = -1
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return nil, err
	}
	dynamicClient, err := dynamic.NewForConfig(loopback)
	if err != nil {
		return nil, err
	}
	metadataClient, err := metadata.NewForConfig(loopback)
	if err != nil {
		return nil, err
	}
	shared := informers.NewSharedInformerFactory(client, 0)

	// OpenAPI: server-side apply takes its types from it.
	definitions := func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		all := apiextensionsopenapi.GetOpenAPIDefinitions(ref)
		for name, definition := range builtin.GetOpenAPIDefinitions(ref) {
			all[name] = definition
		}
		return all
	}
	namer := openapi.NewDefinitionNamer(externalScheme, apiextensions.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)

	// Authentication and authorization.
	tokens, err := newTokens(pki.serviceAccountKey)
	if err != nil {
		return nil, err
	}
	static, err := tokenfile.NewCSV(o.tokenFile)
	if err != nil {
		return nil, err
	}
	audiences := authenticator.Audiences{issuer}
	authn := group.NewTokenGroupAdder(tokenunion.New(authenticator.WrapAudienceAgnosticToken(audiences, static), tokens), []string{"system:authenticated"})
	config.Authentication.APIAudiences = audiences
	config.Authentication.Authenticator = bearertoken.New(authn)
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	roles := newRBAC(shared.Rbac().V1())
	if o.authorization == "RBAC" {
		config.Authorization.Authorizer = authorizer.AuthorizerFunc(roles.authorize)
	}

	// Storage.
	var versions schema.GroupVersions
	for _, g := range apiGroups {
		versions = append(versions, g.gv)
	}
	protobuf, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	codec := codecs.CodecForVersions(protobuf.Serializer, codecs.UniversalDeserializer(), versions, runtime.InternalGroupVersioner)
	etcd := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", codec))
	etcd.StorageConfig.Transport.ServerList = []string{etcdEndpoint}
	etcd.StorageConfig.EncodeVersioner = versions
	etcd.StorageConfig.CompactionInterval = o.compactionInterval
	etcd.StorageConfig.CountMetricPollPeriod = 0
	etcd.EnableGarbageCollection = false // there is no garbage collector
	etcd.EnableWatchCache = o.watchCache
	etcd.DeleteCollectionWorkers = 8
	if err := etcd.ApplyTo(config); err != nil {
		return nil, err
	}

	// Admission: namespace lifecycle, webhooks and admission policies.
	endpointSlices, err := proxy.NewEndpointSliceIndexerGetter(shared.Discovery().V1().EndpointSlices())
	if err != nil {
		return nil, err
	}
	resolver := &serviceResolver{shared.Core().V1().Services().Lister(), endpointSlices}
	wrapper := webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, loopback, config.TracerProvider)
	if err := options.NewAdmissionOptions().ApplyTo(config, shared, client, dynamicClient, utilfeature.DefaultFeatureGate, config.EffectiveVersion,
		webhookinit.NewPluginInitializer(wrapper, resolver)); err != nil {
		return nil, err
	}

	crds, err := newCRDServer(*config, *etcd, shared, resolver, wrapper)
	if err != nil {
		return nil, fmt.Errorf("custom resources: %w", err)
	}
	front, err := config.Complete(shared).New("kubeapi", crds.GenericAPIServer)
	if err != nil {
		return nil, err
	}
	s := &server{front, crds, loopback}
	ips := &clusterIPs{cidr: o.serviceCIDR, last: o.serviceCIDR.Masked().Addr()}
	streams := func(pods *store) map[string]rest.Storage { return nil }
	if o.localPods {
		streams = func(pods *store) map[string]rest.Storage { return podStreams(pods, config.Authorization.Authorizer) }
	}
	stores, err := s.install(config.RESTOptionsGetter, ips, tokens, reviews(authn, config.Authorization.Authorizer, roles), streams)
	if err != nil {
		return nil, err
	}
	tokens.stores = stores
	stores["secrets"].BeginCreate = tokens.fillSecret(pki.cert)
	stores["namespaces"].AfterCreate = populate(stores, pki.cert)
	for path, handler := range tokens.documents("https://" + config.ExternalAddress) {
		front.Handler.NonGoRestfulMux.HandleFunc(path, handler)
	}
	front.Handler.NonGoRestfulMux.Handle("/debug/rbac-usage", roles)
	front.AddPostStartHookOrDie("cluster-ips", func(hook genericapiserver.PostStartHookContext) error {
		list, err := stores["services"].List(request.WithNamespace(hook, ""), nil)
		if err == nil {
			for _, svc := range list.(*corev1.ServiceList).Items {
				ips.saw(svc.Spec.ClusterIP)
			}
		}
		return err
	})
	front.AddPostStartHookOrDie("namespace-termination", func(hook genericapiserver.PostStartHookContext) error {
		t := &terminator{client: client, metadata: metadataClient}
		return t.watch(hook, shared.Core().V1().Namespaces().Informer())
	})
	front.AddPostStartHookOrDie("crd-discovery", func(genericapiserver.PostStartHookContext) error {
		return s.discoverCRDs()
	})
	return s, nil
}

// install mounts every resource and returns the stores by resource name (of
// two resources with one name, the one of the earlier group).
func (s *server) install(opts generic.RESTOptionsGetter, ips *clusterIPs, tokens *tokens, reviews map[string]map[string]rest.Storage, streams func(pods *store) map[string]rest.Storage) (map[string]*store, error) {
	stores := map[string]*store{}
	infos := map[string]*genericapiserver.APIGroupInfo{}
	var groups []*genericapiserver.APIGroupInfo
	for _, g := range apiGroups {
		info := infos[g.gv.Group]
		if info == nil {
			i := genericapiserver.NewDefaultAPIGroupInfo(g.gv.Group, scheme, runtime.NewParameterCodec(scheme), codecs)
			i.PrioritizedVersions = nil
			info = &i
			infos[g.gv.Group] = info
			groups = append(groups, info)
		}
		served := map[string]rest.Storage{}
		info.PrioritizedVersions = append(info.PrioritizedVersions, g.gv)
		info.VersionedResourcesStorageMap[g.gv.Version] = served
		for _, r := range g.resources {
			st, err := newStore(g.gv, r, opts, ips)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			served[r.name] = st
			if r.is(withStatus) {
				served[r.name+"/status"] = newStatusREST(st)
			}
			if stores[r.name] == nil {
				stores[r.name] = st
			}
		}
		for name, review := range reviews[g.gv.Group] {
			served[name] = review
		}
	}
	core := groups[0]
	core.VersionedResourcesStorageMap["v1"]["serviceaccounts/token"] = tokens
	maps.Copy(core.VersionedResourcesStorageMap["v1"], streams(stores["pods"]))
	if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, core); err != nil {
		return nil, err
	}
	return stores, s.InstallAPIGroups(groups[1:]...)
}

func newCRDServer(config genericapiserver.Config, etcd options.EtcdOptions, shared informers.SharedInformerFactory,
	resolver webhook.ServiceResolver, wrapper webhook.AuthenticationInfoResolverWrapper) (*apiextensions.CustomResourceDefinitions, error) {
	custom := crdoptions.NewCRDRESTOptionsGetter(etcd, nil, nil)
	etcd.StorageConfig.Codec = apiextensions.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	etcd.StorageConfig.EncodeVersioner = schema.GroupVersions{apiextensionsv1.SchemeGroupVersion}
	config.RESTOptionsGetter = etcd.CreateRESTOptionsGetter(&options.SimpleStorageFactory{StorageConfig: etcd.StorageConfig}, nil)
	config.MergedResourceConfig = apiextensions.DefaultAPIResourceConfigSource()
	config.PostStartHooks = nil
	config.SkipOpenAPIInstallation = true
	c := apiextensions.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: config, SharedInformerFactory: shared},
		ExtraConfig: apiextensions.ExtraConfig{
			CRDRESTOptionsGetter: custom, MasterCount: 1, ServiceResolver: resolver, AuthResolverWrapper: wrapper,
		},
	}
	return c.Complete().New(genericapiserver.NewEmptyDelegate())
}

// run serves until the context ends.
func (s *server) run(ctx context.Context) error {
	prepared := s.PrepareRun()
	// The schemas of custom resources go into the documents of the front server.
	crds := s.crds.GenericAPIServer
	crds.StaticOpenAPISpec, crds.OpenAPIVersionedService = s.StaticOpenAPISpec, s.OpenAPIVersionedService
	crds.OpenAPIV3VersionedService = s.OpenAPIV3VersionedService
	s.ShutdownTimeout = 500 * time.Millisecond // do not wait for watchers
	return prepared.RunWithContext(ctx)
}

// discoverCRDs keeps the groups of custom resources in the old, unaggregated
// form of /apis; the aggregated one is kept by the CRD server.
func (s *server) discoverCRDs() error {
	crds := s.crds.Informers.Apiextensions().V1().CustomResourceDefinitions()
	refresh := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		g := metav1.APIGroup{Name: obj.(*apiextensionsv1.CustomResourceDefinition).Spec.Group}
		all, _ := crds.Lister().List(labels.Everything())
		for _, crd := range all {
			for _, v := range crd.Spec.Versions {
				gv := metav1.GroupVersionForDiscovery{GroupVersion: g.Name + "/" + v.Name, Version: v.Name}
				if crd.Spec.Group == g.Name && v.Served && apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) && !slices.Contains(g.Versions, gv) {
					g.Versions = append(g.Versions, gv)
				}
			}
		}
		if len(g.Versions) == 0 {
			s.DiscoveryGroupManager.RemoveGroup(g.Name)
			return
		}
		slices.SortFunc(g.Versions, func(a, b metav1.GroupVersionForDiscovery) int {
			return apiversion.CompareKubeAwareVersionStrings(b.Version, a.Version)
		})
		g.PreferredVersion = g.Versions[0]
		s.DiscoveryGroupManager.AddGroup(g)
	}
	_, err := crds.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: refresh, UpdateFunc: func(_, obj any) { refresh(obj) }, DeleteFunc: refresh,
	})
	return err
}

// serviceResolver finds webhooks that are given as a service: at an endpoint of
// the service if it has one (it may be on loopback), else at its cluster IP.
type serviceResolver struct {
	services       listers.ServiceLister
	endpointSlices proxy.EndpointSliceGetter
}

func (r *serviceResolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	if u, err := proxy.ResolveEndpoint(r.services, r.endpointSlices, namespace, name, port); err == nil {
		return u, nil
	}
	return proxy.ResolveCluster(r.services, namespace, name, port)
}
