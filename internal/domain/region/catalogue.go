package region

// mainland lists the regions that lie in mainland China, by provider (law.md 5.3, checked
// 2026-11). A string says nothing without its provider: cn-north-1 exists at several, and
// ap-southeast-1 is Singapore at one and Hong Kong at another. Lists move: review yearly.
var mainland = map[Provider][]string{
	Alibaba: {
		"cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu", "cn-hangzhou", "cn-shanghai", "cn-nanjing",
		"cn-fuzhou", "cn-wuhan-lr", "cn-zhengzhou-jva", "cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-zhongwei",
		"cn-shanghai-finance-1", "cn-shenzhen-finance-1", "cn-beijing-finance-1", "cn-north-2-gov-1",
	},
	Tencent: {
		"ap-guangzhou", "ap-shenzhen", "ap-shanghai", "ap-nanjing", "ap-beijing", "ap-tianjin", "ap-chengdu", "ap-chongqing",
		"ap-shanghai-fsi", "ap-shenzhen-fsi", "ap-beijing-fsi", "ap-guangzhou-open", "ap-jinan-ec", "ap-hangzhou-ec", "ap-fuzhou-ec",
		"ap-shijiazhuang-ec", "ap-wuhan-ec", "ap-changsha-ec",
		"gz", "szx", "szjr", "gzopen", "sh", "shjr", "nj", "jnec", "hzec", "fzec", "bj", "tsn", "sjwec", "bjjr", "whec", "csec", "cd", "cq",
	},
	Huawei: {
		"cn-north-1", "cn-north-2", "cn-north-4", "cn-north-9", "cn-north-11", "cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5",
		"cn-south-1", "cn-south-2", "cn-south-4", "cn-southwest-2",
	},
	AWS:     {"cn-north-1", "cn-northwest-1"},
	Azure:   {"chinanorth", "chinanorth2", "chinanorth3", "chinaeast", "chinaeast2", "chinaeast3"},
	Baidu:   {"bj", "bd", "yq", "cd", "gz", "su", "nj", "fwh"},
	Volcano: {"cn-beijing", "cn-beijing2", "cn-shanghai", "cn-guangzhou", "cn-hangzhou", "cn-chengdu", "cn-wulanchabu", "cn-datong", "cn-wuhan"},
}

// tencentZones maps the thousands of a TKE zone number to the short region code. A number
// outside the map is unknown, and so is the node.
var tencentZones = map[string]string{
	"1000": "gz", "1100": "szx", "2000": "sh", "3300": "nj", "8000": "bj", "1600": "cd", "1900": "cq", "3600": "tsn",
}
