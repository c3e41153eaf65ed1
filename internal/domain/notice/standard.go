package notice

import "slices"

// The standard texts stand in for items that a notice leaves out and Maodian knows, because
// it is Maodian that does it. They belong to the text that people agree to, and to its hash:
// to change a word here is to change what was published, so they stay as they are.
var (
	standardMethod = Text{
		Chinese: "我们通过微信公众号的互动事件和本页面收集上述个人信息，由软件系统加密存储并自动处理，用于您所同意的目的，消息通过微信发送。",
		English: "We collect the data through what you do in our WeChat official account and on this page. Software keeps them encrypted and processes them for the purposes that you agree to; messages go out through WeChat.",
	}
	standardRecipientMethod = Text{
		Chinese: "我们以数据文件的形式向接收方提供所列个人信息，由接收方为所列目的存储和使用。",
		English: "We hand the listed data over as a data file; the recipient keeps and uses them for the listed purposes.",
	}
	standardSafeguards = Text{
		Chinese: "个人信息只存储在经核验位于上述地点的服务器上；识别您身份的字段用专属于您的密钥加密；每次同意、撤回、发送和对外提供都记入防篡改的日志。",
		English: "The data rest only on servers that are verified to be at the place named. What identifies you is encrypted with a key of your own. Every consent, withdrawal, message and transfer is kept in a tamper-evident log.",
	}
	standardAutomatedDecision = Text{
		Chinese: "我们根据您与公众号的互动（例如关注、扫码、点击菜单）自动计算兴趣分数，分数随时间降低；系统根据分数和兴趣标签决定向谁推荐内容。您可以随时在本页取消勾选来拒绝，也可以通过上述联系方式要求我们说明。",
		English: "What you do in the official account (following, scanning, tapping its menu) is scored automatically, and scores fade with time. Score and interest tags decide who gets a recommendation. You can refuse at any time by clearing the box on this page, and ask for an explanation at the contact above.",
	}
	standardComplaints = Text{
		Chinese: "您可以通过上述联系方式向我们投诉，也可以向履行个人信息保护职责的部门投诉、举报。",
		English: "You can complain to us at the contact above, and to the authorities in charge of protecting personal information.",
	}
)

// Complete returns the notice as people read it: with the standard text where an item has
// none of its own. Call it on what Missing lets pass.
func (n Notice) Complete() Notice {
	n.Method = orStandard(n.Method, standardMethod)
	n.Safeguards = orStandard(n.Safeguards, standardSafeguards)
	n.Complaints = orStandard(n.Complaints, standardComplaints)
	if n.automated() {
		n.AutomatedDecision = orStandard(n.AutomatedDecision, standardAutomatedDecision)
	}
	n.Recipients = slices.Clone(n.Recipients)
	for i := range n.Recipients {
		n.Recipients[i].Method = orStandard(n.Recipients[i].Method, standardRecipientMethod)
	}
	return n
}

func orStandard(own, standard Text) Text {
	if own.told() {
		return own
	}
	return standard
}
