DROP TABLE {outbox_items};
DROP TABLE {outbox};
