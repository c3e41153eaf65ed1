package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// StoreEngine is the database of a store.
// +kubebuilder:validation:Enum=SQLite;PostgreSQL
type StoreEngine string

// Engines.
const (
	// EngineSQLite is embedded, one replica.
	EngineSQLite StoreEngine = "SQLite"
	// EnginePostgreSQL is a server of yours, in region.
	EnginePostgreSQL StoreEngine = "PostgreSQL"
)

// EncryptionAlgorithm encrypts the identifying fields of each person.
// +kubebuilder:validation:Enum=AES256GCM;SM4GCM
type EncryptionAlgorithm string

// Algorithms.
const (
	// AlgorithmAES256GCM is AES with a 256-bit key in Galois counter mode.
	AlgorithmAES256GCM EncryptionAlgorithm = "AES256GCM"
	// AlgorithmSM4GCM is SM4 (GB/T 32907) in Galois counter mode.
	AlgorithmSM4GCM EncryptionAlgorithm = "SM4GCM"
)

// DeletionPolicy says what becomes of the data when the object is deleted.
// +kubebuilder:validation:Enum=Retain
type DeletionPolicy string

// DeletionRetain keeps the volume and the ledger. It is the only policy so far: deleting an
// object never deletes personal data.
const DeletionRetain DeletionPolicy = "Retain"

// ConsentStoreSpec asks for one pinned store.
// +kubebuilder:validation:XValidation:rule="self.engine != 'PostgreSQL' || has(self.postgreSQL)",message="`postgreSQL` must be set when `engine` is PostgreSQL"
// +kubebuilder:validation:XValidation:rule="self.engine == 'PostgreSQL' || !has(self.postgreSQL)",message="`postgreSQL` may not be set unless `engine` is PostgreSQL"
type ConsentStoreSpec struct {
	// noticeRef names the PrivacyNotice whose published revision consents are bound to.
	// +required
	NoticeRef metav1alpha1.LocalObjectReference `json:"noticeRef,omitempty,omitzero"`

	// engine is the database. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`engine` may not change: the ledger lives in it"
	Engine StoreEngine `json:"engine,omitempty"`

	// postgreSQL says where the database server is. Only for the engine PostgreSQL.
	// +optional
	PostgreSQL PostgreSQLConnection `json:"postgreSQL,omitempty,omitzero"`

	// storage is the pinned volume.
	// +required
	Storage StoreStorage `json:"storage,omitempty,omitzero"`

	// encryption says how identifying fields are encrypted.
	// +required
	Encryption StoreEncryption `json:"encryption,omitempty,omitzero"`

	// counting has this store count people together with other stores of the same processor, so
	// that somebody who was sent out by several counts once against the lines of the year.
	// Without it their counters are added up.
	// +optional
	Counting StoreCounting `json:"counting,omitempty,omitzero"`

	// deletionPolicy says what becomes of volume and ledger when this object is deleted.
	// +required
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// PostgreSQLConnection says where the database server is.
type PostgreSQLConnection struct {
	// connectionSecretRef names a Secret whose key `dsn` holds the connection string.
	// +required
	ConnectionSecretRef metav1alpha1.LocalObjectReference `json:"connectionSecretRef,omitempty,omitzero"`
}

// StoreStorage describes the pinned volume.
// +kubebuilder:validation:XValidation:rule="quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",message="`size` may not shrink"
type StoreStorage struct {
	// storageClassName is the storage class; its name begins with the policy's classPrefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`storageClassName` may not change: the ledger rests on that volume"
	StorageClassName string `json:"storageClassName,omitempty"`

	// size is the size of the volume, in Mi, Gi or Ti. It is kept as it is written, so that
	// Git and cluster never differ.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=7
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,4}(Mi|Gi|Ti)$`
	Size string `json:"size,omitempty"`
}

// StoreEncryption says how identifying fields are encrypted.
type StoreEncryption struct {
	// algorithm is the cipher. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`algorithm` may not change: records are encrypted with it"
	Algorithm EncryptionAlgorithm `json:"algorithm,omitempty"`

	// keySecretRef names a Secret whose key `key` holds 32 random bytes. It wraps the key of
	// each person. Losing it loses everybody. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`keySecretRef` may not change: records are encrypted under that key"
	KeySecretRef metav1alpha1.LocalObjectReference `json:"keySecretRef,omitempty,omitzero"`
}

// StoreCounting says with whom people are counted together.
type StoreCounting struct {
	// keySecretRef names a Secret whose key `key` holds 32 random bytes, the same in every store
	// that counts together: copy it to their namespaces. Another key, or one that is added within
	// a year, counts people once more, never less.
	// +required
	KeySecretRef metav1alpha1.LocalObjectReference `json:"keySecretRef,omitempty,omitzero"`
}

// ConsentStore is a pinned store of consents, profiles and their ledger.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=csto,categories=maodian
// +kubebuilder:printcolumn:name="Engine",type=string,JSONPath=`.spec.engine`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.proofOfPlacement.node`
// +kubebuilder:printcolumn:name="Subjects",type=string,JSONPath=`.status.subjects`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Region",type=string,priority=1,JSONPath=`.status.proofOfPlacement.nodeRegion`
// +kubebuilder:printcolumn:name="Volume",type=string,priority=1,JSONPath=`.status.proofOfPlacement.persistentVolume`
// +kubebuilder:printcolumn:name="Answered",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="RequestsAnswered")].status`
// +kubebuilder:printcolumn:name="Next due",type=date,priority=1,JSONPath=`.status.requests.nextDueTime`
// +kubebuilder:printcolumn:name="Ledger",type=string,priority=1,JSONPath=`.status.ledgerID`
// +kubebuilder:printcolumn:name="Together",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="CountedTogether")].status`
// +kubebuilder:printcolumn:name="AskAgain",type=string,priority=1,JSONPath=`.status.notice.staleConsents`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,39}$')",message="`metadata.name` must begin with a letter and hold at most 40 letters, digits and dashes"
type ConsentStore struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec asks for the store.
	// +required
	Spec ConsentStoreSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ConsentStoreStatus `json:"status,omitempty,omitzero"`
}

// ConsentStoreList is a list of ConsentStore.
//
// +kubebuilder:object:root=true
type ConsentStoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConsentStore `json:"items"`
}
